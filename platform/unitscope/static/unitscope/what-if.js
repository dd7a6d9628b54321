// Switch findings off and see the prediction change: every combination was worked out by the worker,
// row r of the table holding the probabilities without the findings whose bits are set in r.

// As the server words it: what is not quite none or all never reads as such.
function percent(share) {
  if (share > 0 && share < 0.005) return "less than 1\u00a0%";
  if (share < 1 && share >= 0.995) return "more than 99\u00a0%";
  return `${Math.round(share * 100)}\u00a0%`;
}

function update(card) {
  const table = JSON.parse(document.getElementById("what-if-data").textContent);
  let row = 0;
  for (const box of card.querySelectorAll("[data-what-if]")) {
    if (!box.checked) row |= 1 << Number(box.dataset.whatIf);
  }
  for (const line of card.querySelectorAll("[data-what-if-class]")) {
    const place = Number(line.dataset.whatIfClass);
    const [before, now] = [table[0][place], table[row][place]];
    line.querySelector("progress").value = now;
    line.querySelector("output").textContent = percent(now);
    const change = Math.round((now - before) * 100);
    line.querySelector("[data-what-if-change]").textContent =
      row && change ? `${change > 0 ? "+" : "−"}${Math.abs(change)}` : "";
  }
  card.querySelector("[data-what-if-reset]").disabled = row === 0;
}

document.addEventListener("change", (event) => {
  const card = event.target.matches("[data-what-if]") && event.target.closest("#what-if");
  if (card) update(card);
});

document.addEventListener("click", (event) => {
  const card = event.target.closest("[data-what-if-reset]")?.closest("#what-if");
  if (!card) return;
  for (const box of card.querySelectorAll("[data-what-if]")) box.checked = true;
  update(card);
});
