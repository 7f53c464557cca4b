// What makes a page scroll sideways, as the first tests of a page want to know it.
() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll("body *")]
    .filter((one) => { const box = one.getBoundingClientRect(); return box.width > 0 && (box.right > width + 1 || box.left < -1); })
    .slice(0, 8)
    .map((one) => `${one.tagName.toLowerCase()}.${one.className} ${Math.round(one.getBoundingClientRect().left)}..${Math.round(one.getBoundingClientRect().right)}`);
}
