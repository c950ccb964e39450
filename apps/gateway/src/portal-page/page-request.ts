import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import { decodeForm, type FormTree } from '@relay/events';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RequestRejectedFilter } from '../http/request-rejected.filter.js';
import type { Page } from './html.js';
import { rejectionPage } from './page-texts.js';

/** Marks a request of a person in front of a page; `cause` decides the response, as for other requests. */
class PageFailure extends Error {
  override readonly name = 'PageFailure';
  constructor(override readonly cause: unknown) {
    super('a page could not be shown', { cause });
  }
}

/** Shows the rejection of a page's request as a page. */
@Catch(PageFailure)
export class PageFailureFilter implements ExceptionFilter<PageFailure> {
  constructor(private readonly rejections: RequestRejectedFilter) {}

  catch({ cause }: PageFailure, host: ArgumentsHost): void {
    const { status, reason } = this.rejections.record(cause, host);
    const { headers, body } = rejectionPage(status, reason);
    host.switchToHttp().getResponse<FastifyReply>().code(status).headers(headers).send(body);
  }
}

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
