/** A string literal. Names and texts of fields are foreign, and DDL takes no parameters. */
export function asLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  // The meaning of a backslash would depend on a setting of the server.
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

export function asName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
