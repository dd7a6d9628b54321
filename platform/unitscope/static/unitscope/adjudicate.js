// A term chosen from the combobox becomes one more check box of the decision, and means "yes".

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
