//! `#[derive(FromRow)]` of `bookworm-db`. Use it from there.

#![warn(missing_docs)]

use proc_macro::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, ext::IdentExt, parse_macro_input};

/// Reads each field of a struct from the column of its name; a field with `#[row(nested)]` from the whole row, as a
/// struct of its own.
#[proc_macro_derive(FromRow, attributes(row))]
pub fn from_row(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let Data::Struct(data) = &input.data else {
        return Error::new_spanned(&input.ident, "only a struct is read from a row").to_compile_error().into();
    };
    let Fields::Named(fields) = &data.fields else {
        return Error::new_spanned(&input.ident, "fields are read by their names: name them").to_compile_error().into();
    };
    let name = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let fields = fields.named.iter().map(|field| {
        let (ident, column) = (&field.ident, field.ident.as_ref().map(|ident| ident.unraw().to_string()));
        match field.attrs.iter().find(|attribute| attribute.path().is_ident("row")) {
            None => quote!(#ident: row.get(#column)?),
            Some(attribute) => match attribute.parse_args::<syn::Ident>() {
                Ok(word) if word == "nested" => quote!(#ident: ::bookworm_db::FromRow::from_row(row)?),
                _ => {
                    let error = Error::new_spanned(attribute, "the one thing to say here is `nested`");
                    let error = error.to_compile_error();
                    quote!(#ident: #error)
                }
            },
        }
    });
    quote! {
        impl #generics ::bookworm_db::FromRow for #name #arguments #bounds {
            fn from_row(row: &::bookworm_db::Row) -> ::bookworm_db::Result<Self> {
                Ok(Self { #(#fields),* })
            }
        }
    }
    .into()
}
