// Show times in the zone and the language of the reader; without scripts they are in UTC.
const language = document.documentElement.lang;
// The reader's variant of the page's language: en-GB writes the day before the month.
const locale = navigator.languages.find((one) => one.split("-")[0] === language) ?? language;
const parts = {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
};
const withoutSeconds = new Intl.DateTimeFormat(locale, parts);
const withSeconds = new Intl.DateTimeFormat(locale, { ...parts, second: "2-digit" });
for (const time of document.querySelectorAll("time[data-local]")) {
  const when = new Date(time.dateTime);
  const [utc] = time.textContent.match(/\d\d:\d\d(:\d\d)?/) ?? [""];
  time.title = time.textContent;
  time.textContent = (utc.length > 5 ? withSeconds : withoutSeconds).format(when);
  // In a sentence that others read in UTC, UTC is shown in parentheses.
  if (time.dataset.local === "beside" && when.getTimezoneOffset()) time.textContent += ` (${utc} UTC)`;
}
