/** A string constant. Names and texts of fields come from outside, and DDL takes no parameters. */
export function asLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  // With a backslash in it, what it means would hang on a setting of the server.
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

export function asName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
