// Single keys: an element with data-key="j ArrowRight" answers to these keys. Links, buttons,
// radio buttons and check boxes are clicked, text fields are focused. The "?" dialog lists every
// element that also has data-key-help. Keys can be switched off (WCAG 2.1.4).

const SETTING = "unitscope.keys";
const NAMES = { ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓", " ": "Space" };

const enabled = () => localStorage.getItem(SETTING) !== "off";
const keysOf = (element) => element.dataset.key.split(" ");
const shown = (key) => NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key);

function isTyping(target) {
  return (
    target.isContentEditable ||
    target.matches("textarea, select, input:not([type=radio], [type=checkbox], [type=button])")
  );
}

function scope() {
  return document.querySelector("dialog[open]") ?? document;
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape" && isTyping(event.target)) {
    event.target.blur();
    return;
  }
  if (!enabled() || isTyping(event.target)) return;
  const activates = event.key === "Enter" || event.key === " ";
  if (activates && event.target.closest("a, button, summary, label, [role=option]")) return;
  const movesRadio = event.key.startsWith("Arrow") && event.target.matches("input[type=radio]");
  if (movesRadio) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  for (const element of scope().querySelectorAll("[data-key]")) {
    if (!keysOf(element).includes(key) || element.disabled) continue;
    event.preventDefault();
    const field = element.matches("textarea, input[type=text], input[type=search]");
    if (field) element.focus();
    else element.click();
    return;
  }
});

function listKeys() {
  const list = document.getElementById("keys-list");
  const rows = [...document.querySelectorAll("[data-key][data-key-help]")].map((element) => {
    const row = document.createElement("div");
    const keys = document.createElement("dt");
    keys.append(...keysOf(element).flatMap((key) => {
      const cap = document.createElement("kbd");
      cap.textContent = shown(key);
      return [cap, " "];
    }));
    const help = document.createElement("dd");
    help.textContent = element.dataset.keyHelp;
    row.append(keys, help);
    return row;
  });
  list.replaceChildren(...rows);
}

const dialog = document.getElementById("keys-help");
if (dialog) {
  const box = document.getElementById("keys-enabled");
  box.checked = enabled();
  box.addEventListener("change", () => localStorage.setItem(SETTING, box.checked ? "on" : "off"));
  document.addEventListener("click", (event) => {
    if (event.target.closest('[data-opens="keys-help"]')) listKeys();
  }, { capture: true });
}
