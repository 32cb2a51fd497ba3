const words = document.getElementById('words');
const outcome = document.getElementById('outcome');
const rows = [...document.querySelectorAll('tr[data-outcome]')];
function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    const fits = (!outcome.value || row.dataset.outcome === outcome.value) && wanted.every(word => text.includes(word));
    row.hidden = !fits;
    shown += fits;
  }
  document.getElementById('shown').textContent = `${shown} of ${rows.length}`;
}
words.addEventListener('input', filter);
outcome.addEventListener('change', filter);
filter();
