// The case page: findings are outlined on the image by their check boxes; H shows or hides them all.
// The explanation may arrive later (htmx), so everything listens on the document.

const toggles = () => [...document.querySelectorAll(".finding-toggle")];

function show(toggle) {
  const overlay = document.querySelector(`[data-overlay="${toggle.dataset.shows}"]`);
  if (overlay) overlay.hidden = !toggle.checked;
}

function setAll(checked) {
  for (const toggle of toggles()) {
    toggle.checked = checked;
    show(toggle);
  }
}

let remembered = [];

document.addEventListener("change", (event) => {
  if (event.target.matches(".finding-toggle")) show(event.target);
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-toggles-findings]")) {
    const shown = toggles().filter((toggle) => toggle.checked);
    if (shown.length) {
      remembered = shown.map((toggle) => toggle.dataset.shows);
      setAll(false);
    } else if (remembered.length) {
      for (const toggle of toggles()) {
        toggle.checked = remembered.includes(toggle.dataset.shows);
        show(toggle);
      }
    } else {
      setAll(true);
    }
  }
  if (event.target.closest("[data-prints]")) window.print();
});

// While the pointer or the focus rests on a finding, the others fade.
function emphasise(key) {
  for (const overlay of document.querySelectorAll("[data-overlay]")) {
    overlay.classList.toggle("faded", Boolean(key) && overlay.dataset.overlay !== key);
  }
}

for (const type of ["pointerover", "focusin"]) {
  document.addEventListener(type, (event) => {
    const head = event.target.closest?.(".finding-head");
    const toggle = head?.querySelector(".finding-toggle");
    emphasise(toggle?.checked ? toggle.dataset.shows : "");
  });
}
