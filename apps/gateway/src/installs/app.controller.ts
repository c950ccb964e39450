import { Body, Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import { decodeForm, parsePage } from '@relay/events';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RequestRejectedError } from '../http/request-rejected.filter.js';
import { AppPage } from './app-page.js';
import { answerWithPage, queryOf } from './pages/page-request.js';

@Controller('b24/app')
export class AppController {
  constructor(private readonly appPage: AppPage) {}

  @Post()
  @HttpCode(200)
  async open(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    return answerWithPage(reply, () => {
      if (!(body instanceof Uint8Array)) throw new RequestRejectedError(415, 'not-a-form');
      return this.appPage.open(parsePage(decodeForm(body), queryOf(request)), request.ip);
    });
  }
}
