// Show times in the zone and the words of the reader; without scripts they stand in UTC.
const language = document.documentElement.lang;
// The reader's own kind of the page's language: en-GB writes a day ahead of its month.
const of_the_page = navigator.languages.find((one) => one.split("-")[0] === language) ?? language;
const parts = {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
};
const written = new Intl.DateTimeFormat(of_the_page, parts);
const withSeconds = new Intl.DateTimeFormat(of_the_page, { ...parts, second: "2-digit" });
for (const time of document.querySelectorAll("time[data-local]")) {
  const when = new Date(time.dateTime);
  const [utc] = time.textContent.match(/\d\d:\d\d(:\d\d)?/) ?? [""];
  time.title = time.textContent;
  time.textContent = (utc.length > 5 ? withSeconds : written).format(when);
  // In a sentence that others have in UTC, that stands beside.
  if (time.dataset.local === "beside" && when.getTimezoneOffset()) time.textContent += ` (${utc} UTC)`;
}
