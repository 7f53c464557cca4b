// What is wrong with the dials of a page as it is laid out now: names that are not seen or lie upon each other,
// stops that are hard to hit.
(smallest) => {
  const faults = [];
  const apart = (one, other) => one.right <= other.left + 1 || other.right <= one.left + 1 || one.bottom <= other.top + 1 || other.bottom <= one.top + 1;
  for (const dial of document.querySelectorAll("fieldset.dial")) {
    const legend = dial.querySelector("legend").textContent;
    const stops = [...dial.querySelectorAll("input")].map((stop) => stop.getBoundingClientRect());
    const names = [...dial.querySelectorAll("b")].map((name) => name.getBoundingClientRect());
    if (names.length !== stops.length) faults.push(`${legend}: a stop without a name`);
    if (names.some((name) => !name.width || !name.height)) faults.push(`${legend}: a name is not seen`);
    if (stops.some((stop) => Math.min(stop.width, stop.height) < smallest)) faults.push(`${legend}: a stop is too small`);
    names.forEach((one, at) => names.slice(at + 1).forEach((other) => { if (!apart(one, other)) faults.push(`${legend}: names lie upon each other`); }));
  }
  return faults;
}
