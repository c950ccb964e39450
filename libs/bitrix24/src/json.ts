/** The value, or undefined for invalid JSON. The syntax error is dropped: its message quotes the text. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
