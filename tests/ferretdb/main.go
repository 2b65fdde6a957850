// Runs FerretDB, which speaks MongoDB's protocol, over SQLite: for tests of what the shop stores in MongoDB.
//
// FerretDB reads a document and writes it back in two steps. MongoDB changes one document atomically, and the shop relies
// on it. So this program stands before FerretDB and lets it handle one request at a time.
package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"flag"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/FerretDB/FerretDB/ferretdb"
)

// message reads one message of the protocol: its length in 4 bytes, itself included, then the rest.
func message(from io.Reader) ([]byte, error) {
	length := make([]byte, 4)
	if _, err := io.ReadFull(from, length); err != nil {
		return nil, err
	}
	whole := make([]byte, max(binary.LittleEndian.Uint32(length), 4))
	copy(whole, length)
	_, err := io.ReadFull(from, whole[4:])
	return whole, err
}

var one sync.Mutex

// pass carries a client's requests to the server, each followed by its answer.
func pass(client net.Conn, socket string) {
	defer client.Close()
	server, err := net.Dial("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	for {
		request, err := message(client)
		if err != nil {
			return
		}
		one.Lock()
		_, err = server.Write(request)
		var answer []byte
		if err == nil {
			answer, err = message(server)
		}
		one.Unlock()
		if err != nil {
			return
		}
		if _, err = client.Write(answer); err != nil {
			return
		}
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:27017", "address")
	data := flag.String("data", ".", "folder of the databases; its path must be short, a socket is made in it")
	certificate := flag.String("certificate", "", "certificate (PEM): with it, only TLS")
	key := flag.String("key", "", "its private key (PEM)")
	flag.Parse()
	socket := filepath.Join(*data, "socket")
	_ = os.Remove(socket) // of a run that was killed
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: socket},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Handler:   "sqlite",
		SQLiteURL: "file:" + *data + "/",
	})
	if err != nil {
		log.Fatal(err)
	}
	go server.Run(context.Background())
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			log.Fatal(err)
		}
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}})
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go pass(client, socket)
	}
}
