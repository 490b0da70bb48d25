// Writes ciphertext.json, the vectors of test_decrypt.py: node tests/data/ciphertext.mjs > tests/data/ciphertext.json
//
// Made with Node's own crypto (OpenSSL), and not with the library that importer decrypts with. Layouts:
// Laravel: Illuminate\Encryption\Encrypter (encryptString, and encrypt, which serializes first).
// Rails: ActiveRecord::Encryption (Cipher::Aes256Gcm, MessageSerializer, KeyGenerator; zlib above 140 bytes).
// Nango: packages/utils/lib/encryption.ts: ciphertext, iv and tag apart, each in base64.
import crypto from "node:crypto";
import zlib from "node:zlib";

const KEY = Buffer.from("fake-key-of-32-bytes-for-a-test!");
const KEY_16 = Buffer.from("fake-key-16-byte");
const PRIMARY_KEY = "fake primary key of rails";
const SALT = "fake key derivation salt";
const TOKEN = "fake-access-token-é-1";
const LONG = "fake-refresh-token-" + "0123456789".repeat(20);
const b64 = (bytes) => Buffer.from(bytes).toString("base64");

let made = 0;
const iv = (length) => crypto.createHash("sha256").update(`iv ${++made}`).digest().subarray(0, length);

function gcm(key, plain) {
  const nonce = iv(12);
  const cipher = crypto.createCipheriv(`aes-${key.length * 8}-gcm`, key, nonce);
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  return { nonce, sealed, tag: cipher.getAuthTag() };
}

function laravelCbc(key, plain) {
  const nonce = iv(16);
  const cipher = crypto.createCipheriv(`aes-${key.length * 8}-cbc`, key, nonce);
  const value = b64(Buffer.concat([cipher.update(plain), cipher.final()]));
  const mac = crypto.createHmac("sha256", key).update(b64(nonce) + value).digest("hex");
  return b64(JSON.stringify({ iv: b64(nonce), value, mac, tag: "" }));
}

function laravelGcm(key, plain) {
  const { nonce, sealed, tag } = gcm(key, plain);
  return b64(JSON.stringify({ iv: b64(nonce), value: b64(sealed), mac: "", tag: b64(tag) }));
}

const php = (text) => `s:${Buffer.byteLength(text)}:"${text}";`;

function rails(digest, plain) {
  const key = crypto.pbkdf2Sync(PRIMARY_KEY, SALT, 2 ** 16, 32, digest);
  const compressed = Buffer.byteLength(plain) > 140;
  const { nonce, sealed, tag } = gcm(key, compressed ? zlib.deflateSync(plain) : Buffer.from(plain));
  const headers = { iv: b64(nonce), at: b64(tag), ...(compressed ? { c: true } : {}) };
  return JSON.stringify({ p: b64(sealed), h: headers });
}

function joined(key, plain, encoding) {
  const { nonce, sealed, tag } = gcm(key, plain);
  return Buffer.concat([nonce, sealed, tag]).toString(encoding);
}

function apart(key, plain) {
  const { nonce, sealed, tag } = gcm(key, plain);
  return { cell: b64(sealed), iv: b64(nonce), tag: b64(tag) };
}

const APP_KEY = `base64:${b64(KEY)}`;
const vectors = [
  { name: "laravel-cbc-encryptString", scheme: "laravel", key: APP_KEY, cell: laravelCbc(KEY, TOKEN), plain: TOKEN },
  { name: "laravel-cbc-encrypt", scheme: "laravel", key: APP_KEY, cell: laravelCbc(KEY, php(TOKEN)), plain: TOKEN },
  { name: "laravel-gcm", scheme: "laravel", key: APP_KEY, cell: laravelGcm(KEY, php(TOKEN)), plain: TOKEN },
  { name: "laravel-128", scheme: "laravel", key: `base64:${b64(KEY_16)}`, cell: laravelCbc(KEY_16, LONG), plain: LONG },
  { name: "rails-sha256", scheme: "rails", key: PRIMARY_KEY, salt: SALT, cell: rails("sha256", TOKEN), plain: TOKEN },
  { name: "rails-sha1", scheme: "rails", key: PRIMARY_KEY, salt: SALT, cell: rails("sha1", TOKEN), plain: TOKEN },
  { name: "rails-zlib", scheme: "rails", key: PRIMARY_KEY, salt: SALT, cell: rails("sha256", LONG), plain: LONG },
  { name: "aes-gcm-base64", scheme: "aes-gcm", key: b64(KEY), cell: joined(KEY, TOKEN, "base64"), plain: TOKEN },
  { name: "aes-gcm-base64url", scheme: "aes-gcm", key: b64(KEY), cell: joined(KEY, LONG, "base64url"), plain: LONG },
  { name: "aes-gcm-hex", scheme: "aes-gcm", key: KEY.toString("hex"), cell: joined(KEY, TOKEN, "hex"), plain: TOKEN },
  { name: "aes-gcm-bytea", scheme: "aes-gcm", key: KEY_16.toString("hex"), cell: `\\x${joined(KEY_16, TOKEN, "hex")}`, plain: TOKEN },
  { name: "nango", scheme: "aes-gcm", key: b64(KEY), ...apart(KEY, JSON.stringify({ access_token: TOKEN })), plain: JSON.stringify({ access_token: TOKEN }) },
];
const more = {
  laravelNull: laravelCbc(KEY, "N;"),
  laravelJson: laravelCbc(KEY, JSON.stringify({ access_token: TOKEN, refresh_token: LONG, scope: "a b", expires_in: 3600, issued_at: 1769860800 })),
};
console.log(JSON.stringify({ vectors, more }, null, 1));
