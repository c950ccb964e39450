/**
 * A method's name becomes part of a URL or of a batch command, where `/`, `?` or `..` would change the request.
 *
 * @throws TypeError
 */
export function checkMethod(method: string): string {
  if (!/^\w+(?:\.\w+)*$/.test(method)) throw new TypeError('not the name of a REST method');
  return method;
}
