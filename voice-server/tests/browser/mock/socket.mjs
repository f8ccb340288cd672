// Just enough of RFC 6455 for the tests of the pages: whole messages of a browser, no extensions.

import { createHash } from "node:crypto";

const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

// Takes an upgrade; `on` has `message(data)` for text as a string and binary as a Buffer, and `close(clean)`.
export function accept(request, stream, protocol, on) {
  const key = createHash("sha1").update(request.headers["sec-websocket-key"] + MAGIC).digest("base64");
  const head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", `Sec-WebSocket-Accept: ${key}`];
  if (protocol) head.push(`Sec-WebSocket-Protocol: ${protocol}`);
  stream.write(`${head.join("\r\n")}\r\n\r\n`);
  stream.setNoDelay(true);
  let [buffer, parts, clean] = [Buffer.alloc(0), [], false];
  const socket = {
    send(data) {
      if (!stream.writable) return;
      const text = typeof data === "string";
      frame(stream, text ? 1 : 2, Buffer.from(data));
    },
    close(code) {
      if (!stream.writable) return;
      const body = Buffer.alloc(2);
      body.writeUInt16BE(code);
      frame(stream, 8, body);
      stream.end();
    },
    break: () => stream.destroy(),
  };
  stream.on("data", (bytes) => {
    buffer = Buffer.concat([buffer, bytes]);
    for (let one = take(buffer); one; one = take(buffer)) {
      buffer = buffer.subarray(one.length);
      if (one.opcode === 8) {
        const code = one.body.length >= 2 ? one.body.readUInt16BE(0) : 1005;
        clean = code === 1000 || code === 1005;
        frame(stream, 8, one.body.subarray(0, 2));
        stream.end();
      } else if (one.opcode === 9) frame(stream, 10, one.body);
      else if (one.opcode < 3) {
        parts.push(one);
        if (!one.final) continue;
        const whole = Buffer.concat(parts.map(({ body }) => body));
        on.message(parts[0].opcode === 1 ? whole.toString() : whole);
        parts = [];
      }
    }
  });
  stream.on("error", () => {});
  stream.on("close", () => on.close(clean));
  return socket;
}

function frame(stream, opcode, body) {
  const long = body.length > 125;
  const head = Buffer.alloc(body.length > 65535 ? 10 : long ? 4 : 2);
  head[0] = 0x80 | opcode;
  if (body.length > 65535) {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(body.length), 2);
  } else if (long) {
    head[1] = 126;
    head.writeUInt16BE(body.length, 2);
  } else head[1] = body.length;
  stream.write(Buffer.concat([head, body]));
}

function take(buffer) {
  if (buffer.length < 2) return null;
  let [at, length] = [2, buffer[1] & 0x7f];
  if (length === 126) {
    if (buffer.length < 4) return null;
    [at, length] = [4, buffer.readUInt16BE(2)];
  } else if (length === 127) {
    if (buffer.length < 10) return null;
    [at, length] = [10, Number(buffer.readBigUInt64BE(2))];
  }
  if (buffer.length < at + 4 + length) return null;
  const mask = buffer.subarray(at, at + 4);
  const body = Buffer.from(buffer.subarray(at + 4, at + 4 + length)).map((byte, i) => byte ^ mask[i % 4]);
  return { final: buffer[0] >> 7 === 1, opcode: buffer[0] & 15, body, length: at + 4 + length };
}
