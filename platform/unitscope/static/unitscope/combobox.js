// A text field with a list of options that the server filters (ARIA combobox with a listbox).
// Its hx-get fills the list named by aria-controls. It sends "combobox:choose" with {code, name},
// "combobox:erase" for Backspace in an empty field, and "combobox:propose" with {name} where the
// chosen option offers to propose what was typed.

function combobox(input) {
  const list = document.getElementById(input.getAttribute("aria-controls"));
  let active = -1;
  let fresh = false; // the list belongs to the text that is in the field now
  let enterWaits = false; // Enter was pressed before the list was there

  const options = () => [...list.querySelectorAll("[role=option]")];
  const isOpen = () => !list.hidden;

  function setOpen(open) {
    list.hidden = !open;
    input.setAttribute("aria-expanded", open);
    if (!open) activate(-1);
  }

  function activate(index) {
    active = index;
    options().forEach((option, i) => option.setAttribute("aria-selected", i === index));
    const option = options()[index];
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }

  function choose(option) {
    const { code, name, propose } = option.dataset;
    if (propose) {
      setOpen(false);
      input.dispatchEvent(new CustomEvent("combobox:propose", { bubbles: true, detail: { name: propose } }));
      return;
    }
    input.value = "";
    fresh = false;
    setOpen(false);
    input.dispatchEvent(new CustomEvent("combobox:choose", { bubbles: true, detail: { code, name } }));
  }

  function send(name) {
    input.dispatchEvent(new CustomEvent(name, { bubbles: true }));
  }

  function move(step) {
    if (!isOpen()) {
      if (fresh) setOpen(true);
      else return send("open");
    }
    const count = options().length;
    if (count) activate((active + step + count) % count);
  }

  input.addEventListener("input", () => {
    fresh = false;
    enterWaits = false;
    if (!input.value.trim()) setOpen(false);
  });

  list.addEventListener("htmx:afterSwap", (event) => {
    fresh = (event.detail.requestConfig.parameters.q ?? "") === input.value;
    if (document.activeElement !== input || !fresh) return;
    const opened = input.value.trim() !== "" || event.detail.requestConfig.triggeringEvent?.type === "open";
    setOpen(opened);
    if (opened) activate(options().length ? 0 : -1);
    if (enterWaits && options().length) choose(options()[0]);
    enterWaits = false;
  });

  for (const failure of ["htmx:sendError", "htmx:timeout", "htmx:responseError"])
    input.addEventListener(failure, () => {
      const words = document.createElement("li");
      words.className = "no-option muted";
      words.textContent = "The list cannot be loaded now. What you typed stays; try again in a moment.";
      list.replaceChildren(words);
      setOpen(document.activeElement === input);
    });

  input.addEventListener("keydown", (event) => {
    switch (event.key) {
      case "ArrowDown":
      case "ArrowUp":
        event.preventDefault();
        move(event.key === "ArrowDown" ? 1 : -1);
        break;
      case "Enter":
        event.preventDefault();
        if (fresh && isOpen() && options()[active]) choose(options()[active]);
        else enterWaits = input.value.trim() !== "";
        break;
      case "Escape":
        if (isOpen()) {
          event.preventDefault();
          setOpen(false);
        }
        break;
      case "Backspace":
        if (input.value === "") send("combobox:erase");
        break;
    }
  });

  // pressing the mouse must not take the focus out of the field
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) choose(option);
  });
  input.addEventListener("blur", () => setOpen(false));
}

// On the page, and in whatever htmx puts into it later.
window.htmx.onLoad((root) => {
  const inputs = [...root.querySelectorAll("input[role=combobox]")];
  if (root.matches("input[role=combobox]")) inputs.push(root);
  for (const input of inputs.filter((other) => !("ready" in other.dataset))) {
    input.dataset.ready = "";
    combobox(input);
  }
});
