// The official client against our server: every transport, both protocols, and what each of them promises.
// The server's address is in BOOKWORM_TESTHUB (scripts/test-signalr sets it).
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { createRequire } from "node:module";
import * as signalR from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

const require = createRequire(import.meta.url);
const WebSocket = createRequire(require.resolve("@microsoft/signalr"))("ws");
const base = process.env.BOOKWORM_TESTHUB;
assert.ok(base, "BOOKWORM_TESTHUB names the server");

const { WebSockets, ServerSentEvents, LongPolling } = signalR.HttpTransportType;
const combinations = [
  ["WebSockets", WebSockets, "json"],
  ["WebSockets", WebSockets, "messagepack"],
  ["ServerSentEvents", ServerSentEvents, "json"],
  ["LongPolling", LongPolling, "json"],
  ["LongPolling", LongPolling, "messagepack"],
];

const open = new Set();
after(async () => {
  await Promise.allSettled([...open].map((connection) => connection.stop()));
  // Pooled sockets of the client would keep the process for a while.
  setTimeout(() => process.exit(), 100).unref();
});

function builder(path, transport, protocol, options = {}) {
  const hub = new signalR.HubConnectionBuilder()
    .withUrl(base + path, { transport, logMessageContent: true, ...options })
    .configureLogging(signalR.LogLevel.None);
  return protocol === "messagepack" ? hub.withHubProtocol(new MessagePackHubProtocol()) : hub;
}

async function connect(path, transport, protocol, options) {
  const connection = builder(path, transport, protocol, options).build();
  await connection.start();
  open.add(connection);
  return connection;
}

function once(connection, event) {
  return new Promise((resolve) => connection.on(event, (...values) => resolve(values)));
}

function closed(connection) {
  return new Promise((resolve) => connection.onclose((error) => resolve(error)));
}

function collect(stream) {
  return new Promise((resolve, reject) => {
    const items = [];
    stream.subscribe({ next: (item) => items.push(item), error: reject, complete: () => resolve(items) });
  });
}

async function until(condition, what) {
  for (const limit = Date.now() + 10_000; !(await condition()); ) {
    assert.ok(Date.now() < limit, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

for (const [name, transport, protocol] of combinations) {
  describe(`${name} with ${protocol}`, () => {
    const run = (what, body) =>
      test(what, { timeout: 30_000 }, async () => {
        const connection = await connect("/testhub", transport, protocol, { headers: { "X-Test": "header" } });
        try {
          await body(connection);
        } finally {
          await connection.stop();
          open.delete(connection);
        }
      });

    run("calls methods, in any case of letters", async (connection) => {
      assert.equal(await connection.invoke("Echo", "שלום, wörld"), "שלום, wörld");
      assert.equal(await connection.invoke("eCHO", null), null);
      assert.equal(await connection.invoke("VoidMethod"), null);
      assert.equal(await connection.invoke("GetActiveTransportName"), name);
      assert.equal(await connection.invoke("GetCallerConnectionId"), connection.connectionId);
      await Promise.all(
        [...Array(100).keys()].map(async (n) => assert.equal(await connection.invoke("Echo", `${n}`), `${n}`)),
      );
    });

    run("is called", async (connection) => {
      const message = once(connection, "message");
      await connection.send("InvokeWithString", "hello");
      assert.deepEqual(await message, ["hello"]);
      const object = once(connection, "CustomObject");
      await connection.invoke("SendCustomObject", { Name: "test", Value: 42 });
      assert.deepEqual(await object, [{ Name: "test", Value: 42 }]);
    });

    run("gets errors in the words that it knows", async (connection) => {
      const said = async (promise, text) => assert.equal((await promise.catch((error) => error)).message, text);
      await said(
        connection.invoke("ThrowException", "An error occurred."),
        "An unexpected error occurred invoking 'ThrowException' on the server. InvalidOperationException: An error occurred.",
      );
      await said(
        connection.invoke("Missing"),
        "Failed to invoke 'Missing' due to an error on the server. HubException: Method does not exist.",
      );
      await said(
        connection.invoke("Stream"),
        "The client attempted to invoke the streaming 'Stream' method with a non-streaming invocation.",
      );
      await said(
        collect(connection.stream("Echo", "x")),
        "The client attempted to invoke the non-streaming 'Echo' method with a streaming invocation.",
      );
      await said(
        collect(connection.stream("StreamThrowException", "An error occurred.")),
        "An unexpected error occurred invoking 'StreamThrowException' on the server. InvalidOperationException: An error occurred.",
      );
      await said(
        connection.invoke("Echo"),
        "Failed to invoke 'Echo' due to an error on the server. InvalidDataException: Invocation provides 0 argument(s) but target expects 1.",
      );
      assert.equal(await connection.invoke("Echo", "still there"), "still there");
    });

    run("streams down, and cancels", async (connection) => {
      assert.deepEqual(await collect(connection.stream("Stream")), ["a", "b", "c"]);
      assert.deepEqual(await collect(connection.stream("EmptyStream")), []);
      const canceled = once(connection, "StreamCanceled");
      const subscription = connection.stream("InfiniteStream", "1").subscribe({ next() {}, error() {}, complete() {} });
      subscription.dispose();
      await canceled;
    });

    run("streams up", async (connection) => {
      const parts = new signalR.Subject();
      const whole = connection.invoke("StreamingConcat", parts);
      for (const part of ["Hello", " ", "world", "!"]) parts.next(part);
      parts.complete();
      assert.equal(await whole, "Hello world!");
      const failing = new signalR.Subject();
      const failed = connection.invoke("StreamingConcat", failing);
      failing.next("x");
      failing.error("given up");
      await assert.rejects(failed, /given up/);
      const many = new signalR.Subject();
      const all = connection.invoke("StreamingConcat", many);
      for (let n = 0; n < 200; n++) many.next("x".repeat(100));
      many.complete();
      assert.equal((await all).length, 20_000);
    });

    run("gives results", async (connection) => {
      const ask = async () => (await fetch(`${base}/clientresult/${connection.connectionId}`)).text();
      assert.equal(await ask(), "Client didn't provide a result.");
      connection.on("Result", () => 10);
      assert.equal(await ask(), "10");
      connection.off("Result");
      connection.on("Result", () => {
        throw new Error("from callback");
      });
      assert.match(await ask(), /from callback/);
    });

    run("exchanges objects, bytes and times", async (connection) => {
      const sent = await connection.invoke("SendComplexObject");
      assert.equal(sent.String, "hello world");
      assert.deepEqual(sent.IntArray, [1, 2, 3]);
      assert.equal(sent.Guid, "00010203-0405-0607-0706-050403020100");
      if (protocol === "json") {
        assert.equal(sent.ByteArray, "AQID");
        assert.equal(sent.DateTime, "2000-01-01T00:00:00Z");
      } else {
        assert.deepEqual([...sent.ByteArray], [1, 2, 3]);
        assert.equal(sent.DateTime.toISOString(), "2000-01-01T00:00:00.000Z");
      }
      assert.deepEqual(await connection.invoke("EchoComplexObject", sent), sent);
    });

    run("sends headers and cookies", async (connection) => {
      assert.equal(await connection.invoke("GetCookie", "testCookie"), "testValue");
      assert.equal(await connection.invoke("GetCookie", "testCookie2"), "testValue2");
      assert.equal(await connection.invoke("GetCookie", "expiredCookie"), null);
      assert.equal(await connection.invoke("GetHeader", "X-Test"), "header");
      assert.equal(await connection.invoke("GetHeader", "X-Missing"), null);
    });

    run("survives messages up to the limit, and is closed beyond it", async (connection) => {
      const text = "x".repeat(30_000);
      assert.equal(await connection.invoke("Echo", text), text);
      const end = closed(connection);
      await connection.send("Echo", "x".repeat(40_000)).catch(() => {});
      assert.match(String((await end)?.message), /maximum message size of 32768B was exceeded/);
    });

    test("needs a token", { timeout: 30_000 }, async () => {
      await assert.rejects(connect("/authorizedhub", transport, protocol), /Unauthorized: Status code '401'/);
      const connection = await connect("/authorizedhub", transport, protocol, {
        accessTokenFactory: async () => (await fetch(`${base}/generateJwtToken`)).text(),
      });
      assert.equal(await connection.invoke("Echo", "let in"), "let in");
      await connection.stop();
      open.delete(connection);
    });

    test("is told when the hub cannot be made", { timeout: 30_000 }, async () => {
      const connection = builder("/uncreatable", transport, protocol).build();
      const end = closed(connection);
      await connection.start();
      assert.match(
        (await end).message,
        /Connection closed with an error\. InvalidOperationException: Unable to resolve service/,
      );
    });

    test("stops, and starts again", { timeout: 30_000 }, async () => {
      const connection = await connect("/testhub", transport, protocol);
      const before = connection.connectionId;
      const end = closed(connection);
      await connection.stop();
      assert.equal(await end, undefined);
      await connection.start();
      assert.notEqual(connection.connectionId, before);
      assert.equal(await connection.invoke("Echo", "again"), "again");
      await connection.stop();
      open.delete(connection);
    });
  });
}

describe("negotiation", () => {
  test("falls back when there are no WebSockets", { timeout: 30_000 }, async () => {
    const connection = await connect("/testhub-nowebsockets");
    assert.equal(await connection.invoke("GetActiveTransportName"), "ServerSentEvents");
    await connection.stop();
    open.delete(connection);
  });

  test("follows redirects, and can be skipped", { timeout: 30_000 }, async () => {
    const redirected = await connect("/redirect");
    const count = await redirected.invoke("GetNumRedirects");
    assert.ok(count >= 1);
    await redirected.stop();
    open.delete(redirected);
    const skipping = await connect("/testhub", WebSockets, "json", { skipNegotiation: true });
    assert.equal(skipping.connectionId, null);
    assert.equal(await skipping.invoke("Echo", "hello"), "hello");
    await skipping.stop();
    open.delete(skipping);
  });

  test("tells what a server said that is none", { timeout: 30_000 }, async () => {
    await assert.rejects(connect("/bad-negotiate"), /400|Some response from server/);
  });
});

// Below the hub protocol: bytes there and back. The class is not exported, and still what the hub's client stands on.
const { HttpConnection } = require("@microsoft/signalr/dist/cjs/HttpConnection");
const { TransferFormat } = signalR;

for (const [name, transport] of [
  ["WebSockets", WebSockets],
  ["ServerSentEvents", ServerSentEvents],
  ["LongPolling", LongPolling],
]) {
  for (const format of transport === ServerSentEvents ? ["Text"] : ["Text", "Binary"]) {
    test(`raw ${format} over ${name}`, { timeout: 30_000 }, async () => {
      // This client's WebSockets follow no redirects.
      const path = transport === WebSockets ? "/echo" : "/echoredirect";
      const connection = new HttpConnection(base + path, { transport, logger: signalR.NullLogger.instance });
      const end = new Promise((resolve) => (connection.onclose = resolve));
      const heard = new Promise((resolve) => (connection.onreceive = resolve));
      await connection.start(TransferFormat[format]);
      const sent = format === "Text" ? "Hello, wörld" : new Uint8Array([0, 1, 0x1e, 255]).buffer;
      await connection.send(sent);
      const data = await heard;
      if (format === "Text") assert.equal(data, sent);
      else assert.deepEqual([...new Uint8Array(data)], [0, 1, 0x1e, 255]);
      await connection.stop();
      assert.equal(await end, undefined);
    });
  }
}

// A WebSocket whose cable can be pulled.
function cuttable() {
  const sockets = [];
  class Cuttable extends WebSocket {
    constructor(...options) {
      super(...options);
      sockets.push(this);
    }
  }
  return { sockets, Cuttable, cut: () => sockets.at(-1)._socket.destroy() };
}

for (const protocol of ["json", "messagepack"]) {
  describe(`broken WebSockets with ${protocol}`, () => {
    test("stateful reconnect loses nothing and repeats nothing", { timeout: 60_000 }, async () => {
      const { sockets, Cuttable, cut } = cuttable();
      const connection = builder("/testhub", WebSockets, protocol, { WebSocket: Cuttable })
        .withStatefulReconnect()
        .build();
      const heard = [];
      connection.on("Message", (text) => heard.push(text));
      let ended = false;
      connection.onclose(() => (ended = true));
      await connection.start();
      open.add(connection);
      const id = connection.connectionId;
      const answers = [];
      for (let n = 0; n < 300; n++) {
        if (n % 60 === 30) {
          const before = sockets.length;
          cut();
          await until(() => sockets.length > before && sockets.at(-1).readyState === WebSocket.OPEN, "a new socket");
        }
        answers.push(connection.invoke("Echo", `${n}`));
        await connection.send("InvokeWithString", `${n}`);
      }
      assert.deepEqual(await Promise.all(answers), [...Array(300).keys()].map(String));
      await until(() => heard.length >= 300, "all messages");
      assert.deepEqual(heard, [...Array(300).keys()].map(String));
      assert.equal(await connection.invoke("GetCallerConnectionId"), id);
      assert.ok(sockets.length >= 5, `${sockets.length} sockets`);
      assert.equal(ended, false);
      await connection.stop();
      open.delete(connection);
    });

    test("automatic reconnect makes a new connection", { timeout: 60_000 }, async () => {
      const { Cuttable, cut } = cuttable();
      const connection = builder("/testhub", WebSockets, protocol, { WebSocket: Cuttable })
        .withAutomaticReconnect([0, 100, 500])
        .build();
      await connection.start();
      open.add(connection);
      const before = connection.connectionId;
      const reconnected = new Promise((resolve) => connection.onreconnected(resolve));
      cut();
      const after = await reconnected;
      assert.notEqual(after, before);
      assert.equal(await connection.invoke("GetCallerConnectionId"), after);
      await connection.stop();
      open.delete(connection);
    });
  });
}
