import { decodeForm, type FormTree } from '@relay/events';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Page } from './html.js';
import { PageFailure } from './page-failure.js';

/** The query of the address, which Bitrix24 encodes like a form. @throws FormError */
export function queryOf({ url }: FastifyRequest): FormTree {
  const [, query = ''] = url.split(/\?(.*)/s);
  return decodeForm(Buffer.from(query, 'latin1'));
}

/** Errors are shown as a page, too, for the person who looks at it. */
export async function answerWithPage(reply: FastifyReply, open: () => Promise<Page>): Promise<string> {
  try {
    const { headers, body } = await open();
    void reply.headers(headers);
    return body;
  } catch (error) {
    throw new PageFailure(error);
  }
}
