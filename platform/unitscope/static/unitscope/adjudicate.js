// An expert's answer is taken over into the decision by one key. A term chosen from the combobox
// becomes one more check box of it, and means "yes".

const terms = document.getElementById("decision-terms");
const boxes = () => [...terms.querySelectorAll("input[type=checkbox]")];

function answerYes() {
  document.getElementById("answer-yes").checked = true;
}

function addBox({ code, name }) {
  const label = document.createElement("label");
  label.className = "check";
  const box = Object.assign(document.createElement("input"), { type: "checkbox", name: "terms", value: code });
  label.append(box, " ", name);
  terms.append(label);
  return box;
}

document.addEventListener("combobox:choose", (event) => {
  const box = boxes().find((known) => known.value === event.detail.code) ?? addBox(event.detail);
  box.checked = true;
  answerYes();
});

terms.addEventListener("change", (event) => {
  if (event.target.checked) answerYes();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-take]");
  if (!button) return;
  const chips = button.closest("li").querySelectorAll("[data-code]");
  const codes = [...chips].map((chip) => chip.dataset.code);
  document.getElementById(`answer-${button.dataset.take}`).checked = true;
  for (const box of boxes()) box.checked = codes.includes(box.value);
});
