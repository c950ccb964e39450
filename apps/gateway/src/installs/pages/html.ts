import { createHash } from 'node:crypto';

/** The address of Bitrix24's library for application frames (sdk/bx24-js-sdk/index.md). */
const FRAME_LIBRARY = 'https://api.bitrix24.com/api/v1/';

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
 * @param script runs in the page, after Bitrix24's library for frames; without it the page runs no script
 */
export function page(
  {
    title,
    content,
    status = 200,
    headers = {},
  }: { title: string; content: Markup; status?: number; headers?: Record<string, string> },
  script?: string,
): Page {
  const scripts =
    script === undefined ? '' : `<script src="${FRAME_LIBRARY}"></script><script>${script}</script>`;
  // Both unchanged, because their hashes are in the headers.
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
        ${new Markup(scripts)}
      </body>
    </html> `;
  return { status, headers: { ...headersWith(script), ...headers }, body: source };
}

/**
 * Portals with their own domains frame the page, so there is no `frame-ancestors`: no click in a page
 * is worth hijacking.
 */
function headersWith(script: string | undefined): Record<string, string> {
  const scripts = script === undefined ? `'none'` : `${new URL(FRAME_LIBRARY).origin} ${sourceHash(script)}`;
  const policy = {
    'default-src': `'none'`,
    'script-src': scripts,
    'style-src': sourceHash(STYLE),
    'base-uri': `'none'`,
    'form-action': `'none'`,
  };
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

function sourceHash(source: string): string {
  return `'sha256-${createHash('sha256').update(source).digest('base64')}'`;
}
