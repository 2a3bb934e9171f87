// Making elements, and changing their text only when it has changed: what does not change is not
// laid out again.

/** An element with a class and its content; null and empty parts are left out. */
export function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content.filter((part) => part != null && part !== ''));
  return made;
}

/** An element of a drawing with its attributes. */
export function shape(tag, attributes) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setClass(node, className) {
  if (node.className !== className) node.className = className;
}

export function setData(node, key, value) {
  const text = String(value ?? '');
  if (node.dataset[key] !== text) node.dataset[key] = text;
}
