"use strict";
// Shows /api/v1/openapi.json and lets try it. All text goes in as text, never as markup.

const METHODS = ["get", "post", "put", "patch", "delete"];

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const pretty = (value) => JSON.stringify(value, null, 2);

function resolve(api, part) {
  return part && part.$ref ? part.$ref.slice(2).split("/").reduce((at, key) => at[key], api) : part;
}

function kindOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map(String).join(" | ");
  if (schema.anyOf) return schema.anyOf.map(kindOf).join(" | ");
  if (schema.type === "array") return `list of ${kindOf(schema.items) || "any"}`;
  return [].concat(schema.type ?? "any").join(" | ") + (schema.format ? ` (${schema.format})` : "");
}

function boundsOf(schema) {
  const words = { minimum: "≥", exclusiveMinimum: ">", maximum: "≤", exclusiveMaximum: "<", maxLength: "length ≤", default: "default" };
  return Object.entries(words).filter(([key]) => schema?.[key] !== undefined && schema[key] !== null)
    .map(([key, word]) => `${word} ${JSON.stringify(schema[key])}`).join(", ");
}

function parametersOf(operation, inputs) {
  const rows = (operation.parameters ?? []).map((parameter) => {
    const isPath = parameter.in === "path";
    const input = make("input", { "aria-label": parameter.name, placeholder: String(parameter.example ?? parameter.schema?.default ?? "") });
    if (isPath) input.value = String(parameter.example ?? "");
    inputs.push({ parameter, input });
    return make("tr", {}, make("td", {}, make("code", {}, parameter.name), parameter.required ? " *" : ""), make("td", {}, input),
      make("td", { class: "quiet" }, [kindOf(parameter.schema), boundsOf(parameter.schema), parameter.description].filter(Boolean).join("; ")));
  });
  return rows.length ? make("table", {}, make("tbody", {}, ...rows)) : null;
}

function fieldsOf(api, schema, depth = 0) {
  const found = resolve(api, schema);
  if (!found?.properties || depth > 3) return null;
  const rows = Object.entries(found.properties).map(([name, part]) => make("tr", {},
    make("td", {}, make("code", {}, name), (found.required ?? []).includes(name) ? " *" : ""),
    make("td", { class: "quiet" }, [kindOf(part), boundsOf(part), part.description].filter(Boolean).join("; "))));
  return make("details", {}, make("summary", { class: "quiet" }, `fields of ${found.title ?? "the body"}`), make("table", {}, make("tbody", {}, ...rows)));
}

async function send(method, path, inputs, body, output) {
  const query = new URLSearchParams();
  let place = path;
  for (const { parameter, input } of inputs) {
    if (parameter.in === "path") place = place.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "") query.set(parameter.name, input.value);
  }
  const token = document.getElementById("token").value.trim();
  const headers = { ...(token ? { authorization: `Bearer ${token}` } : {}), ...(body ? { "content-type": "application/json" } : {}) };
  const url = place + (query.size ? `?${query}` : "");
  output.replaceChildren(`${method.toUpperCase()} ${url}`);
  try {
    const answer = await fetch(url, { method: method.toUpperCase(), headers, body: body?.value, credentials: "same-origin" });
    const text = await answer.text();
    let shown = text;
    try { shown = pretty(JSON.parse(text)); } catch { /* it is no JSON, and is shown as it is */ }
    output.replaceChildren(make("p", { class: answer.ok ? "" : "bad" }, `${answer.status} ${url}`), make("pre", {}, shown.slice(0, 200000)));
  } catch (error) {
    output.replaceChildren(make("p", { class: "bad" }, String(error)));
  }
}

function tryOf(api, method, path, operation) {
  const inputs = [];
  const content = operation.requestBody?.content?.["application/json"];
  const body = content ? make("textarea", { "aria-label": "body", spellcheck: "false" }) : null;
  if (body) body.value = pretty(content.example ?? {});
  const output = make("div");
  const isStream = Boolean(operation.responses?.["200"]?.content?.["text/event-stream"]);
  const button = isStream ? make("p", { class: "quiet" }, "A stream: curl -N, or an EventSource.")
    : make("button", { type: "button", onclick: () => send(method, path, inputs, body, output) }, "Send");
  return make("div", {}, parametersOf(operation, inputs), body ? make("h3", {}, "Body") : null, body, content ? fieldsOf(api, content.schema) : null, make("p", {}, button), output);
}

function answersOf(api, operation) {
  return make("div", {}, make("h3", {}, "Answers"), ...Object.entries(operation.responses).map(([status, given]) => {
    const answer = resolve(api, given);
    const content = Object.values(answer.content ?? {})[0];
    return make("details", {}, make("summary", {}, make("code", {}, status), ` ${answer.description}`),
      content?.example !== undefined ? make("pre", {}, typeof content.example === "string" ? content.example : pretty(content.example)) : null,
      content ? fieldsOf(api, content.schema) : null);
  }));
}

function operationOf(api, method, path, operation) {
  const details = make("details", { class: "operation", id: operation.operationId, "data-words": `${method} ${path} ${operation.summary}`.toLowerCase() },
    make("summary", {}, make("span", { class: `method ${method}` }, method.toUpperCase()), make("code", {}, path), make("span", { class: "quiet" }, operation.summary)));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) {
      details.append(make("div", {}, make("p", {}, operation.description ?? ""), tryOf(api, method, path, operation), answersOf(api, operation)));
    }
  });
  return details;
}

function show(api) {
  document.getElementById("version").textContent = api.info.version;
  const tags = new Map(api.tags.map(({ name }) => [name, []]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((word) => item[word])) {
      const tag = item[method].tags?.[0] ?? "other";
      tags.set(tag, [...(tags.get(tag) ?? []), operationOf(api, method, path, item[method])]);
    }
  }
  const about = make("details", {}, make("summary", {}, "About"), make("pre", {}, api.info.description));
  document.getElementById("main").replaceChildren(about, ...[...tags].filter(([, found]) => found.length)
    .map(([tag, found]) => make("section", {}, make("h2", {}, tag), ...found)));
  const asked = document.getElementById(location.hash.slice(1));
  if (asked) {
    asked.open = true;
    asked.scrollIntoView();
  }
}

document.getElementById("find").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase();
  for (const details of document.querySelectorAll("details.operation")) details.hidden = !details.dataset.words.includes(words);
});

fetch("/api/v1/openapi.json", { credentials: "same-origin" })
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`${answer.status}`))))
  .then(show)
  .catch((error) => document.getElementById("main").replaceChildren(make("p", { class: "bad" }, `/api/v1/openapi.json: ${error}`)));
