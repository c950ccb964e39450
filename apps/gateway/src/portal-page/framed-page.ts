import { Controller, Get, Param, Res } from '@nestjs/common';
import type { PageFrame } from '@relay/events';
import { pageFiles } from '@relay/platform';
import type { KnownPortal } from '@relay/portals';
import type { FastifyReply } from 'fastify';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { html, type Markup, page, type Page, pageHeaders } from './html.js';

/** Beside the built gateway: `apps/console` is built by Vite, into files whose names change with their content. */
const FOLDER = join(import.meta.dirname, '../../../console/portal');
const TEMPLATE = 'index.html';
/** What is in the template, and filled in here. */
const ROOT = '<div id="app"></div>';
const TITLE = '<title>b24-relay</title>';

const FILE_HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  // Their names change with their content.
  'cache-control': 'public, max-age=31536000, immutable',
};

/** What the page gets from the request that it answers. */
export interface FramedContent {
  /** Of the two that begin the script: the first page of an installation, or the application's own. */
  kind: 'install' | 'app';
  title: string;
  /** Shown until the script has taken over, and without script. */
  content: Markup;
  /** Of the user, as Bitrix24 names it; undefined: English. */
  language?: string | undefined;
  /** Origins that may show the page in a frame. */
  ancestors: readonly string[];
}

/** The page inside Bitrix24 with its script, which is built by `apps/console`. Without the build it is a page without script. */
export class FramedPage {
  private readonly template: string | undefined;
  private readonly sendFile: ((reply: FastifyReply, name: string) => FastifyReply) | undefined;

  constructor(folder = FOLDER) {
    if (!existsSync(folder)) return;
    this.template = readFileSync(join(folder, TEMPLATE), 'utf8');
    for (const part of [ROOT, TITLE, '<html lang="en">'])
      if (!this.template.includes(part)) throw new Error(`the built page has no ${part}`);
    this.sendFile = pageFiles(folder, FILE_HEADERS);
  }

  render({ kind, title, content, language = 'en', ancestors }: FramedContent): Page {
    if (this.template === undefined || ancestors.length === 0) return page({ title, content });
    const root = html`<div id="app" data-page="${kind}">
      <main>
        <h1>${title}</h1>
        ${content}
      </main>
    </div>`;
    const body = this.template
      // No markup of its own: a formatter would close the element.
      .replace('<html lang="en">', () => `<html lang="${html`${language}`.source}">`)
      .replace(TITLE, () => html`<title>${title}</title>`.source)
      .replace(ROOT, () => root.source);
    return { status: 200, headers: pageHeaders(policyFor(ancestors)), body };
  }

  /** @returns the reply, 404 for a file that the page does not have */
  send(reply: FastifyReply, name: string): FastifyReply {
    // The template is no page by itself.
    if (this.sendFile === undefined || name === TEMPLATE) {
      return reply.code(404).send({ error: 'not-found' });
    }
    return this.sendFile(reply, name);
  }
}

/** The files of the page. Everybody may load them: they hold no data. */
@Controller('b24/page')
export class PageFilesController {
  constructor(private readonly framedPage: FramedPage) {}

  @Get(':file')
  file(@Param('file') file: string, @Res() reply: FastifyReply): void {
    void this.framedPage.send(reply, file);
  }
}

/**
 * Of a proved request: where the portal's address is, and where it says that it is, which differ after a rename and for a portal
 * with a domain of its own.
 */
export function ancestorsOf({ clientEndpoint }: KnownPortal, { origin }: PageFrame): string[] {
  return [...new Set([new URL(clientEndpoint).origin, ...(origin === undefined ? [] : [origin])])];
}

function policyFor(ancestors: readonly string[]): Record<string, string> {
  return {
    'default-src': `'none'`,
    'script-src': `'self'`,
    'style-src': `'self'`,
    'connect-src': `'self'`,
    'base-uri': `'none'`,
    'form-action': `'none'`,
    'frame-ancestors': ancestors.join(' '),
    // Titles of smart processes are foreign text: browsers that support this forbid scripts to turn text into markup.
    'require-trusted-types-for': `'script'`,
    // Vue makes its own templates with this one; it can be created once, so nothing else gets it.
    'trusted-types': 'vue',
  };
}
