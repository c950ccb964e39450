/**
 * The sum of one metric of an app over all of its labels; 0 before it was counted.
 * @param {string} opsUrl
 * @param {string} name
 * @param {AbortSignal} signal
 */
export async function metric(opsUrl, name, signal) {
  const answer = await fetch(`${opsUrl}/metrics`, { signal });
  return sumOf(await answer.text(), name);
}

/** @param {string} text in Prometheus' format @param {string} name */
export function sumOf(text, name) {
  const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}
