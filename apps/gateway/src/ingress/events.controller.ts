import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { decodeForm } from '@relay/events';
import { RequestRejectedError } from '../http/request-rejected.filter.js';
import { EventIngress } from './event-ingress.js';

@Controller('b24/events')
export class EventsController {
  constructor(private readonly ingress: EventIngress) {}

  @Post()
  @HttpCode(200)
  receive(@Body() body: unknown): Promise<void> {
    if (!(body instanceof Uint8Array)) throw new RequestRejectedError(415, 'not-a-form');
    return this.ingress.accept(decodeForm(body));
  }
}
