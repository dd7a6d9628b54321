// Single keys: an element with data-key="j ArrowRight" answers to these keys. Links, buttons,
// radio buttons and check boxes are clicked, text fields are focused, and a group of answers
// (data-key-scope) gets the focus: while it has it, keys of its own elements go first; they mean
// nothing elsewhere. The "?" dialog lists every element that also has data-key-help, and there
// each key can be changed; an action is known by its default keys. Keys can be switched off
// (WCAG 2.1.4). Every <kbd> of an element, or with data-key-of="j", shows the key that holds.

const SETTING = "unitscope.keys";
const CHANGED = "unitscope.keys.changed";
const NAMES = { ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓", " ": "Space" };
const RESERVED = ["?", "Tab", "Shift", "Control", "Alt", "AltGraph", "Meta", "CapsLock", "Dead", "Process"];

const enabled = () => localStorage.getItem(SETTING) !== "off";
const shown = (key) => NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key);
const plain = (key) => (key.length === 1 ? key.toLowerCase() : key);
const scopeOf = (element) => element.parentElement.closest("[data-key-scope]");

let changed = JSON.parse(localStorage.getItem(CHANGED) ?? "{}");
let changing = null; // the action that waits for its new key

const actionOf = (keys) => keys.split(" ").sort().join(" ");

function effective(keys) {
  const own = changed[actionOf(keys)];
  return own ? [own] : keys.split(" ");
}

function keysOf(element) {
  return scopeOf(element) ? element.dataset.key.split(" ") : effective(element.dataset.key);
}

function isTyping(target) {
  return (
    target.isContentEditable ||
    target.matches("textarea, select, input:not([type=radio], [type=checkbox], [type=button])")
  );
}

function find(key, from) {
  const root = document.querySelector("dialog[open]") ?? document;
  const scope = from.closest("[data-key-scope]");
  const fitting = [...root.querySelectorAll("[data-key]")].filter(
    (element) => keysOf(element).includes(key) && !element.disabled && !element.closest("dialog:not([open])"),
  );
  return (
    fitting.find((element) => scope && scopeOf(element) === scope) ??
    fitting.find((element) => !scopeOf(element))
  );
}

function activate(element) {
  if (element.matches("textarea, input[type=text], input[type=search]")) element.focus();
  else if (element.matches("[data-key-scope]"))
    (element.querySelector("input:checked") ?? element.querySelector("input")).focus();
  else element.click();
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape" && (isTyping(event.target) || event.target.closest("[data-key-scope]"))) {
    event.target.blur();
    return;
  }
  if (!enabled() || isTyping(event.target)) return;
  const pressed = event.target.closest("a, button, summary, [role=option]") ?? (event.key === " " && event.target.closest("label"));
  if (pressed && (event.key === "Enter" || event.key === " ")) return;
  const movesRadio = event.key.startsWith("Arrow") && event.target.matches("input[type=radio]");
  if (movesRadio) return;
  const element = find(plain(event.key), event.target);
  if (!element) return;
  event.preventDefault();
  activate(element);
});

// The keys that hold are shown where they are used ---------------------------------------------

function drawHints() {
  for (const element of document.querySelectorAll("[data-key]:not([data-key-scope])")) {
    const cap = element.querySelector("kbd") ?? element.closest("label")?.querySelector("kbd");
    if (cap && !cap.dataset.keyOf) drawHint(cap, element.dataset.key, keysOf(element)[0]);
  }
  for (const cap of document.querySelectorAll("[data-key-of]"))
    drawHint(cap, cap.dataset.keyOf, effective(cap.dataset.keyOf)[0]);
}

function drawHint(cap, keys, key) {
  const isChanged = actionOf(keys) in changed;
  if (!isChanged && !("usual" in cap.dataset)) return;
  cap.dataset.usual ??= cap.textContent;
  cap.textContent = isChanged ? shown(key) : cap.dataset.usual;
}

// The dialog: what each key does, and changing it ------------------------------------------------

function listKeys() {
  const rows = [...document.querySelectorAll("[data-key][data-key-help]")].map(keyRow);
  document.getElementById("keys-list").replaceChildren(...rows);
}

function keyRow(element) {
  const row = document.getElementById("keys-row").content.firstElementChild.cloneNode(true);
  const action = actionOf(element.dataset.key);
  const caps = keysOf(element).flatMap((key) => {
    const cap = document.createElement("kbd");
    cap.textContent = shown(key);
    return [cap, " "];
  });
  row.querySelector("dt").append(...caps);
  row.querySelector("[data-help]").textContent = element.dataset.keyHelp;
  const button = row.querySelector("button");
  button.dataset.changes = action;
  button.setAttribute("aria-label", `Change the key of “${element.dataset.keyHelp}”`);
  button.hidden = keysOf(element).includes("?");
  return row;
}

function tell(text) {
  document.getElementById("keys-message").textContent = text;
}

function keep(map) {
  changed = map;
  localStorage.setItem(CHANGED, JSON.stringify(map));
  listKeys();
  drawHints();
}

/** The element of another action that has the key, if there is one. Keys of a dialog hold there alone. */
function taken(key, action) {
  return [...document.querySelectorAll("[data-key]")].find(
    (element) => !scopeOf(element) && !element.closest("dialog") && actionOf(element.dataset.key) !== action && keysOf(element).includes(key),
  );
}

function change(action, key) {
  const other = taken(key, action);
  if (other) {
    const help = other.dataset.keyHelp ?? other.textContent.trim();
    tell(`${shown(key)} is the key of “${help}”. Press another one, or give that its own key first.`);
    return;
  }
  changing = null;
  keep({ ...changed, [action]: key });
  tell(`${shown(key)} holds from now on, in this browser.`);
  document.querySelector(`[data-changes="${CSS.escape(action)}"]`)?.focus();
}

function takeKey(event) {
  if (!changing || event.repeat || RESERVED.includes(event.key) || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  event.stopPropagation();
  if (event.key === "Escape") {
    changing = null;
    tell("The key stays as it is.");
  } else change(changing, plain(event.key));
}

const dialog = document.getElementById("keys-help");
if (dialog) {
  const box = document.getElementById("keys-enabled");
  box.checked = enabled();
  box.addEventListener("change", () => localStorage.setItem(SETTING, box.checked ? "on" : "off"));
  document.addEventListener("click", (event) => {
    if (event.target.closest('[data-opens="keys-help"]')) listKeys();
  }, { capture: true });
  document.addEventListener("keydown", takeKey, { capture: true });
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-changes]");
    if (!button) return;
    changing = button.dataset.changes;
    tell("Press the new key. Esc leaves it as it is.");
  });
  dialog.addEventListener("focusout", () => (changing = null));
  dialog.addEventListener("close", () => tell(""));
  document.getElementById("keys-reset").addEventListener("click", () => {
    keep({});
    tell("All keys are as they came.");
  });
}

drawHints();
document.addEventListener("htmx:afterSettle", drawHints);
