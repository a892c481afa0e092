// Elements and small helpers. Text is always put in as text: nothing here, or anywhere on the page, reads markup.

export const by = id => document.getElementById(id);

/** An element with these attributes, listeners (`onclick`) and children; children that are text stay text. */
export function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same, of a drawing. */
export function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter(child => child !== undefined && child !== null && child !== false));
  return element;
}

/** Puts children in the place of all that an element has, unless they are the same: a reader's selection and focus stay. */
export function put(element, ...children) {
  const fresh = children.flat().filter(child => child !== undefined && child !== null && child !== false);
  const holder = document.createElement(element.tagName);
  holder.append(...fresh);
  if (!same(holder, element)) element.replaceChildren(...holder.childNodes);
}

function same(one, other) {
  if (one.childNodes.length !== other.childNodes.length) return false;
  return [...one.childNodes].every((child, index) => child.isEqualNode(other.childNodes[index]));
}

/** A text that others wrote, kept apart from the direction of what stands around it. */
export const foreign = (text, tag = "bdi") => make(tag, { class: "foreign" }, visible(text));

/** The same text, with the characters that nobody can see written as their numbers. */
export function visible(text) {
  const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu;
  return String(text).replace(hidden, c => `\\u{${c.codePointAt(0).toString(16)}}`);
}

/** A chip for a state; the state is its class too. */
export const chip = (state, text = state) => make("span", { class: `chip ${state}` }, text);

/** A command with a button that copies it. */
export function command(text) {
  const button = make("button", { type: "button", title: "copy the command" }, "copy");
  button.addEventListener("click", async () => {
    const copied = await copy(text);
    button.textContent = copied ? "copied" : "select it";
    setTimeout(() => (button.textContent = "copy"), 1500);
  });
  return make("span", { class: "command" }, make("code", {}, text), button);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers let only pages of HTTPS and of this machine write there.
    return false;
  }
}
