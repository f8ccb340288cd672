// The talk page of `src/web` with a scripted voice socket behind it that the tests steer and that counts what it gets. All
// else is tried against the real server.
//
//   node server.mjs [PORT]      prints `http://127.0.0.1:PORT/`; ends when its standard input ends
//
// `POST /mock/...` steers: `drop` breaks the voice sockets, `forget` ends the calls too, `seen` gives what came in.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { accept } from "./socket.mjs";
import { Call, calls } from "./voice.mjs";

const WEB = new URL("../../../src/web/", import.meta.url);
const KINDS = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8", svg: "image/svg+xml" };
// The page runs under the policy of the program, or a test would not see what it forbids.
const POLICY = readFileSync(new URL("mod.rs", WEB), "utf8").match(/const POLICY: &str = "([^;]*(?:;[^"]*)?)"/)[1].replace(/\\\s+/g, "");

function steer(what) {
  if (what === "drop") for (const call of calls.values()) call.socket?.break();
  if (what === "forget") {
    const gone = [...calls.values()];
    calls.clear();
    for (const call of gone) call.socket?.break();
  }
  if (what === "seen") return { calls: [...calls.values()].map(({ socket, sent, ...rest }) => ({ ...rest, connected: Boolean(socket) })) };
  return {};
}

function file(path) {
  const name = { "/": "index.html" }[path] ?? path.slice(1);
  if (!/^[a-z-]+\.(html|js|css|svg)$/.test(name)) return null;
  try {
    const text = readFileSync(new URL(name, WEB), "utf8");
    return [text.replace("%VERSION%", createHash("sha1").update(text).digest("hex")), KINDS[name.split(".").pop()]];
  } catch {
    return null;
  }
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  // A later order must not find its connection closed.
  if (url.pathname.startsWith("/mock/")) response.setHeader("Connection", "close");
  if (url.pathname.startsWith("/mock/")) return response.end(JSON.stringify(steer(url.pathname.slice(6))));
  const found = file(url.pathname);
  if (!found) return response.writeHead(404).end();
  response.writeHead(200, { "Content-Type": found[1], "Content-Security-Policy": POLICY, "Cache-Control": "no-cache" }).end(found[0]);
});

server.on("upgrade", (request, stream) => {
  const url = new URL(request.url, "http://localhost");
  const id = url.pathname.split("/")[2];
  let [call, resuming] = [null, false];
  const socket = accept(request, stream, "voice.v1", {
    message(message) {
      if (typeof message === "string") {
        const order = JSON.parse(message);
        if (!call && order.type === "resume") {
          resuming = true;
          call = calls.get(id);
          if (call?.token !== order.token) return socket.close(call ? 4401 : 4404);
          call.attach(socket);
          return call.resume(order.lastSeq);
        }
        begin();
        call.handle(order);
      } else {
        begin();
        call.frames = (call.frames ?? 0) + 1;
      }
    },
    close(clean) {
      if (!call || call.socket !== socket) return;
      call.socket = null;
      if (clean) calls.delete(id);
    },
  });
  const begin = () => {
    if (call) return;
    call = new Call(id);
    call.attach(socket);
    call.open();
  };
  // A call opens with the first message, or a moment after the upgrade.
  setTimeout(() => stream.writable && !resuming && begin(), 150);
});

server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
process.stdin.on("end", () => process.exit(0)).resume();
