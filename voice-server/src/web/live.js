// The events of the organization as they come, over one socket that comes back by itself and misses nothing in between.

import { Unreachable, at, request } from "/api.js";
import { news, reach, state } from "/offline.js";

const LONGEST_WAIT_MS = 20_000;

export const live = new EventTarget(); // each event under its type, and `any`; `reset`: read everything anew
let [socket, lastId, tries, timer, wanted, heardAt] = [null, "", 0, 0, false, null]; // heardAt: when all was known last

export function listen() {
  if (wanted) return;
  wanted = true;
  connect();
}

export function deafen() {
  wanted = false;
  clearTimeout(timer);
  lastId = "";
  socket?.close(1000);
  [socket, heardAt] = [null, null];
}

function connect() {
  clearTimeout(timer);
  if (!wanted) return;
  const mine = (socket = new WebSocket(at.events(lastId)));
  let opened = false;
  mine.onopen = () => {
    opened = true;
    tries = 0;
    reach(true);
    // Whatever a view read before the socket was open may be old.
    if (!lastId) say("reset", { type: "reset" });
  };
  mine.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if (event.id) lastId = event.id;
    say(event.type, event);
    say("any", event);
  };
  mine.onclose = () => {
    if (mine !== socket || !wanted) return;
    if (opened) heardAt = new Date().toISOString();
    // A browser does not say why a socket was refused. A plain request renews a session that is over, tells that it has ended,
    // or shows that there is no network.
    if (!opened) request("GET", at.profile).then(() => reach(true), (error) => error instanceof Unreachable && reach(false, state.asOf ?? heardAt));
    const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** tries++);
    timer = setTimeout(connect, wait * (0.75 + Math.random() / 2));
  };
}

function say(type, detail) {
  live.dispatchEvent(new CustomEvent(type, { detail }));
}

// The server answered something else, so it will take the socket too.
const retry = () => wanted && socket?.readyState === WebSocket.CLOSED && connect();
addEventListener("online", retry);
news.addEventListener("reach", () => state.reachable && retry());
