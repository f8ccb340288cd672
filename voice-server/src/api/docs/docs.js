// Shows the OpenAPI document of this server: operations by tag, with parameters, bodies and answers.

const METHODS = ["get", "post", "put", "patch", "delete"];
let components = {};

function make(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

const resolved = (schema) => (schema?.$ref ? components[schema.$ref.split("/").pop()] : schema) ?? {};
const named = (schema) => schema?.$ref?.split("/").pop();

// The type of a schema in a few words.
function kind(schema) {
  if (!schema) return "";
  const name = named(schema);
  if (name) return name;
  const many = schema.oneOf ?? schema.anyOf;
  if (many) return many.map(kind).filter((word) => word !== "null").join(" or ");
  const type = [schema.type].flat().filter((word) => word && word !== "null").join(" or ");
  if (type === "array") return `list of ${kind(schema.items) || "anything"}`;
  if (schema.enum) return schema.enum.filter((word) => word !== null).map((word) => `"${word}"`).join(" or ");
  return schema.format ? `${type} (${schema.format})` : type || "anything";
}

// An example of what a schema describes.
function example(schema, depth = 0) {
  const of = resolved(schema);
  if (of.example !== undefined) return of.example;
  if (of.allOf) return Object.assign({}, ...of.allOf.map((part) => example(part, depth)));
  const choice = (of.oneOf ?? of.anyOf)?.find((part) => part.type !== "null");
  if (choice) return example(choice, depth);
  if (of.enum) return of.enum[0];
  const type = [of.type].flat().find((word) => word !== "null");
  if (type === "object" || of.properties) {
    if (depth > 4) return {};
    return Object.fromEntries(Object.entries(of.properties ?? {}).map(([name, part]) => [name, example(part, depth + 1)]));
  }
  if (type === "array") return depth > 4 ? [] : [example(of.items, depth + 1)];
  if (type === "integer" || type === "number") return of.minimum ?? 0;
  if (type === "boolean") return false;
  if (of.format === "uuid") return "00000000-0000-4000-8000-000000000000";
  if (of.format === "date-time") return "2026-01-31T09:00:00.000Z";
  return "";
}

function table(heads, rows) {
  const made = make("table");
  const head = made.createTHead().insertRow();
  heads.forEach((text) => head.append(Object.assign(make("th", text), { scope: "col" })));
  const body = made.createTBody();
  rows.forEach((cells) => {
    const row = body.insertRow();
    cells.forEach((cell) => row.insertCell().append(cell));
  });
  return made;
}

function operation(path, method, described) {
  const made = make("details");
  const summary = make("summary");
  summary.append(make("span", method.toUpperCase(), "method"), make("code", path), make("span", ` ${described.summary ?? ""}`, "dim"));
  const body = make("div", "", "body");
  if (described.parameters?.length) {
    body.append(make("h3", "Parameters"), table(["Name", "Where", "Type", "Meaning"], described.parameters.map((one) => [
      make("code", one.name + (one.required ? " *" : "")), one.in, kind(one.schema), one.description ?? "",
    ])));
  }
  const content = described.requestBody?.content?.["application/json"];
  if (content) body.append(make("h3", `Body: ${kind(content.schema)}`), make("pre", JSON.stringify(example(content.schema), null, 2)));
  body.append(make("h3", "Answers"), table(["Status", "Meaning", "Body"], Object.entries(described.responses).map(([status, one]) => [
    make("code", status), one.description, kind(Object.values(one.content ?? {})[0]?.schema),
  ])));
  const good = Object.entries(described.responses).find(([status, one]) => status.startsWith("2") && one.content?.["application/json"]);
  if (good) body.append(make("h3", `Example of ${good[0]}`), make("pre", JSON.stringify(example(good[1].content["application/json"].schema), null, 2)));
  made.append(summary, body);
  return made;
}

try {
  const described = await (await fetch("/api/openapi.json")).json();
  components = described.components?.schemas ?? {};
  document.getElementById("title").textContent = `${described.info.title} API ${described.info.version}`;
  document.getElementById("about").textContent = described.info.description;
  const tags = new Map();
  for (const [path, item] of Object.entries(described.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const tag = item[method].tags?.[0] ?? "other";
      if (!tags.has(tag)) tags.set(tag, []);
      tags.get(tag).push(operation(path, method, item[method]));
    }
  }
  for (const [tag, list] of tags) document.getElementById("operations").append(make("h2", tag), ...list);
} catch (error) {
  document.getElementById("about").textContent = `The description cannot be shown: ${error.message}`;
}
