// Show times in the zone and the words of the reader; without scripts they stand in UTC.
const language = document.documentElement.lang;
// The reader's own kind of the page's language: en-GB writes a day ahead of its month.
const of_the_page = navigator.languages.find((one) => one.split("-")[0] === language) ?? language;
const written = new Intl.DateTimeFormat(of_the_page, {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
});
for (const time of document.querySelectorAll("time[data-local]")) {
  time.title = time.textContent;
  time.textContent = written.format(new Date(time.dateTime));
}
