
"use strict";
// Shows /openapi.json. Text is put in as text, never as HTML.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children.filter(child => child !== undefined && child !== ""));
  return element;
}

// Markdown as far as the document has it: paragraphs and code.
function prose(text) {
  return (text || "").split("\n\n").filter(Boolean).map(paragraph => make("p", {}, ...line(paragraph)));
}

function line(text) {
  return (text || "").split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

function nameOf(reference) {
  return reference.split("/").pop();
}

// A schema in a few words, with links to those that have a name.
function type(schema) {
  if (!schema) return [];
  if (schema.$ref) return [make("a", { href: "#schema-" + nameOf(schema.$ref) }, nameOf(schema.$ref))];
  const either = schema.oneOf || schema.anyOf || schema.allOf;
  if (either) return either.flatMap((one, index) => (index ? [" or ", ...type(one)] : type(one)));
  if (schema.enum) return schema.enum.flatMap((value, index) => [index ? ", " : "", make("code", {}, String(value))]);
  if (schema.type === "array") return ["list of ", ...type(schema.items)];
  return [[].concat(schema.type || "any").join(" or ") + (schema.format ? " (" + schema.format + ")" : "")];
}

// What a value must be beside its type.
function limits(schema) {
  const told = [];
  for (const key of ["minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "default"]) {
    if (schema && schema[key] !== undefined) told.push(key + " " + JSON.stringify(schema[key]));
  }
  return told.length ? make("div", {}, make("small", {}, told.join(", "))) : "";
}

function row(name, required, schema, description) {
  const what = make("td", {}, ...line(description || (schema && schema.description)), limits(schema));
  const label = make("td", {}, make("code", {}, name), required ? " *" : "");
  return make("tr", {}, label, make("td", {}, ...type(schema)), what);
}

function members(schema) {
  const required = new Set(schema.required || []);
  const rows = Object.entries(schema.properties || {});
  return rows.length ? make("table", {}, ...rows.map(([name, one]) => row(name, required.has(name), one))) : "";
}

function contents(content) {
  return Object.entries(content || {}).map(([media, { schema }]) => make("div", {}, make("code", {}, media), ": ", ...type(schema)));
}

// The call as a command, with what has to be filled in left in braces.
function command(method, path, operation) {
  const media = Object.keys((operation.requestBody || {}).content || {})[0] || "application/json";
  const change = method === "get" ? "" : " -X " + method.toUpperCase() + " -H 'content-type: " + media + "'";
  const body = operation.requestBody ? " -d '{…}'" : "";
  return "curl -s" + change + " '" + location.origin + path + "'" + body;
}

function call(method, path, operation) {
  const scope = ((operation.security || [])[0] || {}).token;
  const parameters = (operation.parameters || []).map(one => row(one.name, one.required, one.schema, one.description));
  const answers = Object.entries(operation.responses).map(([status, answer]) =>
    make("tr", {}, make("td", {}, make("code", {}, status)), make("td", {}, ...line(answer.description)),
      make("td", {}, ...contents(answer.content))));
  return make("details", { id: operation.operationId, "data-text": (path + " " + operation.summary).toLowerCase() },
    make("summary", {}, make("span", { class: "method" }, method.toUpperCase()), make("span", { class: "path" }, path),
      operation.summary, make("span", { class: "scope" }, scope ? scope[0] : "open")),
    ...prose(operation.description),
    make("pre", {}, command(method, path, operation)),
    parameters.length ? make("table", {}, ...parameters) : "",
    operation.requestBody ? make("div", {}, make("b", {}, "Body "), ...contents(operation.requestBody.content)) : "",
    make("table", {}, ...answers));
}

function schemaOf(name, schema) {
  return make("details", { id: "schema-" + name, "data-text": name.toLowerCase() },
    make("summary", {}, make("code", {}, name)), ...prose(schema.description),
    schema.properties ? members(schema) : make("p", {}, ...type(schema), limits(schema)));
}

function show(described) {
  const calls = Object.entries(described.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ group: operation.tags[0], element: call(method, path, operation) })));
  const groups = described.tags.map(({ name, description }) => make("section", {}, make("h2", {}, name), ...prose(description),
    ...calls.filter(({ group }) => group === name).map(({ element }) => element)));
  const schemas = Object.entries(described.components.schemas).map(([name, schema]) => schemaOf(name, schema));
  const search = make("input", { type: "search", placeholder: "Search", "aria-label": "Search" });
  const main = document.querySelector("main");
  main.replaceChildren(make("h1", {}, described.info.title + " " + described.info.version), ...prose(described.info.description),
    make("p", {}, make("a", { href: "/openapi.json" }, "openapi.json"), ", * is required"), search, ...groups,
    make("section", {}, make("h2", {}, "schemas"), ...schemas));
  search.addEventListener("input", () => {
    for (const one of main.querySelectorAll("details")) one.hidden = !one.dataset.text.includes(search.value.toLowerCase());
  });
  const open = () => {
    const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (named) { named.open = true; named.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  open();
}

fetch("/openapi.json").then(answer => answer.json()).then(show)
  .catch(error => document.querySelector("main").append(make("p", {}, "The document could not be read: " + error)));
