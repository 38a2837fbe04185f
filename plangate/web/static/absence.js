// A time in UTC is shown in the reader's own zone, and what is typed in that is sent in UTC, in the field that it names.
for (const typed of document.querySelectorAll("input[data-in-utc]")) {
  const field = typed.form.elements[typed.dataset.inUtc];
  const there = new Date(`${typed.defaultValue}Z`);
  if (typed.value === typed.defaultValue && !Number.isNaN(there.getTime())) {
    const own = new Date(there.getTime() - there.getTimezoneOffset() * 60_000);
    typed.value = own.toISOString().slice(0, "2026-11-30T09:00".length);
  }
  typed.form.addEventListener("submit", () => {
    const moment = new Date(typed.value);
    field.value = Number.isNaN(moment.getTime()) ? "" : moment.toISOString();
  });
}
