// Function body: the WCAG 2 contrast of each visible element with text of its own, as [{text, selector, ratio}].
// Colours are painted on a canvas, so that every notation and every transparent layer counts as the browser shows it.
const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

function painted(layers) {
  canvas.clearRect(0, 0, 1, 1);
  for (const [colour, alpha] of layers) {
    canvas.globalAlpha = alpha;
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
  }
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((value) => value / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function ancestors(element) {
  const chain = [];
  for (let at = element; at; at = at.parentElement) chain.unshift(at);
  return chain;
}

function contrast(element) {
  const chain = ancestors(element).map((one) => getComputedStyle(one));
  const grounds = chain.map((style) => [style.backgroundColor, 1]);
  const opacity = chain.reduce((product, style) => product * Number(style.opacity), 1);
  const back = luminance(painted(grounds));
  const front = luminance(painted([...grounds, [chain.at(-1).color, opacity]]));
  return (Math.max(back, front) + 0.05) / (Math.min(back, front) + 0.05);
}

const hasOwnText = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());

return [...document.querySelectorAll("body *")]
  .filter((element) => element.checkVisibility({ visibilityProperty: true }) && hasOwnText(element))
  .map((element) => ({
    text: element.textContent.slice(0, 40),
    selector: `${element.tagName.toLowerCase()}.${element.className}`,
    ratio: contrast(element),
  }));
