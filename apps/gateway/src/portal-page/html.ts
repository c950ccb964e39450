import { createHash } from 'node:crypto';

const STYLE = `
  body { margin: 0; padding: 2rem; font: 16px/1.5 system-ui, sans-serif; color: #1c2b33; background: #fff; }
  main { max-width: 40rem; }
  h1 { font-size: 1.4rem; margin: 0 0 1rem; }
  table { border-collapse: collapse; }
  th, td { padding: 0.3rem 1.5rem 0.3rem 0; text-align: left; vertical-align: top; }
  th { font-weight: 600; }
`;

/** Escaped markup: only `html` creates it, so that no unescaped text gets into a page. */
export class Markup {
  constructor(readonly source: string) {}
}

/** Markup with escaped values; nested markup stays. */
export function html(
  parts: TemplateStringsArray,
  ...values: (string | number | Markup | Markup[])[]
): Markup {
  const source = parts.reduce((text, part, index) => `${text}${markupOf(values[index - 1] ?? '')}${part}`);
  return new Markup(source);
}

function markupOf(value: string | number | Markup | Markup[]): string {
  if (Array.isArray(value)) return value.map(markupOf).join('');
  if (value instanceof Markup) return value.source;
  return String(value).replaceAll(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** A page, and its response headers. */
export interface Page {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/**
 * Portals with their own domains frame the page, and a request that is rejected proves none, so there is no `frame-ancestors`: there
 * is nothing to click.
 */
const POLICY = {
  'default-src': `'none'`,
  'script-src': `'none'`,
  'style-src': sourceHash(STYLE),
  'base-uri': `'none'`,
  'form-action': `'none'`,
};
const HEADERS = pageHeaders(POLICY);

/** A page without script. */
export function page({
  title,
  content,
  status = 200,
  headers = {},
}: {
  title: string;
  content: Markup;
  status?: number;
  headers?: Record<string, string>;
}): Page {
  // Unchanged, because its hash is in the headers.
  const styled = new Markup(`<style>${STYLE}</style>`);
  const { source } = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${title}</title>
        ${styled}
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          ${content}
        </main>
      </body>
    </html> `;
  return { status, headers: { ...HEADERS, ...headers }, body: source };
}

function sourceHash(source: string): string {
  return `'sha256-${createHash('sha256').update(source).digest('base64')}'`;
}

/** @param policy by directive of the Content-Security-Policy */
export function pageHeaders(policy: Readonly<Record<string, string>>): Record<string, string> {
  return {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': Object.entries(policy)
      .map((directive) => directive.join(' '))
      .join('; '),
    'x-content-type-options': 'nosniff',
    // The address contains the session of the frame.
    'referrer-policy': 'strict-origin-when-cross-origin',
    'cache-control': 'no-store',
  };
}
