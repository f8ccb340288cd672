// What the mock knows: an organization as a small business has it, the same at each start.

const DAY = 86_400_000;
export const ids = {
  admin: "11111111-1111-4111-8111-111111111111", agent: "22222222-2222-4222-8222-222222222222",
  organization: "00000000-0000-4000-8000-000000000001", long: "aaaaaaaa-0000-4000-8000-000000000001",
};
const ago = (ms) => new Date(Date.now() - ms).toISOString();

export const users = [
  { id: ids.admin, email: "admin@demo.example", name: "Ada Moreno", role: "admin", organizationId: ids.organization, disabled: false },
  { id: ids.agent, email: "agent@demo.example", name: "Ben Sato", role: "agent", organizationId: ids.organization, disabled: false },
];

export const organization = {
  revision: 1, id: ids.organization, name: "Cedar & Stone Realty",
  settings: { disclosure: "You are talking to an automated assistant.", recording: "notice", retentionDays: 30, region: "US-CA", timeZone: "America/Los_Angeles", facts: ["The office is open from 9 to 6.", "Parking is behind the building."] },
};

export const keys = [{ id: "k1", kind: "publishable", name: "Web site", hint: "pk_9f2c", origins: ["https://www.example.com"], createdAt: ago(40 * DAY), revokedAt: null }];

export const health = { status: "healthy", checks: { database: true, storage: true, stt: true, llm: true, tts: true } };

const lines = [
  ["Hi, which homes have a garden?", "Two homes have a garden: a three-bedroom house on Alder Lane for $540,000, and a bungalow by the park for $465,000."],
  ["What about the schools near Alder Lane?", "The elementary school is four minutes on foot, and the high school is a mile away."],
  ["Sorry, how much was the bungalow?", "The bungalow by the park is listed at $465,000. It has two bedrooms and was built in 1962."],
  ["Can I see the house on Saturday?", "Yes. Saturday at 10:30 or at 2 in the afternoon is free. Which one suits you?"],
  ["Half past ten, please.", "Booked: Alder Lane, Saturday at 10:30. Your booking code is four, seven, one."],
];

function turns(number) {
  let at = 1200;
  return lines.slice(0, number).map(([said, reply], i) => {
    const ledger = { endpoint: 180 + i * 22, stt: 35 + i * 3, context: 5, llm: 42 + i * 11, clause: 4, tts: 66, engine: 1, pacing: 3, client: 12 };
    const totalMs = Object.values(ledger).reduce((sum, ms) => sum + ms, 0);
    const turn = { turn: i + 1, said, reply, heard: i === 1 ? reply.slice(0, 38) : reply, startedMs: at, replyStartedMs: at + 2600, interrupted: i === 1, ledger, totalMs };
    at += 9800;
    return turn;
  });
}

function conversation(i) {
  const created = Date.now() - i * 0.37 * DAY - 600_000;
  const length = (60 + ((i * 47) % 240)) * 1000;
  return {
    revision: 1, id: i === 1 ? ids.long : `${((i * 2654435761) % 2 ** 32).toString(16).padStart(8, "0")}-0000-4000-8000-${String(i).padStart(12, "0")}`, organizationId: ids.organization, status: "ended",
    clientPhone: i % 4 === 3 ? null : `+1 415 555 01${String(i % 100).padStart(2, "0")}`, userId: i % 3 ? ids.agent : ids.admin,
    createdAt: new Date(created).toISOString(), endedAt: new Date(created + length).toISOString(), metadata: {},
    notes: i === 1 ? "Wants to see Alder Lane with her sister." : "", lead: i % 5 === 1, viewingsBooked: i === 1 ? 1 : 0,
    turns: turns(i === 1 ? 5 : 1 + (i % 5)), recordings: i === 1 ? [{ id: "r1", url: "/api/v1/recordings/r1?expires=1&signature=x", seconds: 50 }] : [],
    cost: { totalUsd: 0.0412 + i / 1000, items: [
      { provider: "deepgram", what: "speech to text", quantity: 50, unit: "s", usd: 0.0036 }, { provider: "openai", what: "answers", quantity: 4210, unit: "tokens", usd: 0.0063 },
      { provider: "elevenlabs", what: "voice", quantity: 1043, unit: "characters", usd: 0.0313 }] },
  };
}

// A call that is going on.
export const liveConversation = (id, createdAt) => ({
  revision: 1, id, organizationId: ids.organization, status: "active", clientPhone: null, userId: null, createdAt, endedAt: null, metadata: {}, notes: "", lead: false,
  viewingsBooked: 0, turns: [], recordings: [], cost: null,
});

export const conversations = Array.from({ length: 64 }, (_, i) => conversation(i + 1));

export function performance(from, to) {
  const first = Date.parse(`${from}T00:00Z`);
  const number = Math.min(400, Math.max(1, (Date.parse(`${to}T00:00Z`) - first) / DAY + 1));
  const days = Array.from({ length: number }, (_, i) => {
    const calls = Math.round(9 + 6 * Math.sin(i / 2.1) + (i % 7 < 5 ? 6 : -4));
    return { date: new Date(first + i * DAY).toISOString().slice(0, 10), calls: Math.max(0, calls), responseMsP50: 330 + 40 * Math.sin(i / 3), responseMsP95: 560 + 120 * Math.sin(i / 2 + 1) };
  }).filter(({ calls }) => calls > 0);
  const calls = days.reduce((sum, day) => sum + day.calls, 0);
  return { calls, talkSeconds: calls * 142, responseMsP50: 334, responseMsP95: 604, interruptions: Math.round(calls / 3), leads: Math.round(calls / 6), viewingsBooked: Math.round(calls / 9), days };
}
