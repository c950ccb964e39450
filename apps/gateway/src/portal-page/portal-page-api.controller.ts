import { Body, Controller, Get, HttpCode, Post, Put, Req } from '@nestjs/common';
import {
  pagePreviewRequest,
  type pagePreviewResponse,
  pageSettingsRequest,
  type pageSettingsResponse,
  type pageStatusResponse,
  type Sent,
} from '@relay/admin-contract';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { JsonBody } from '../http/fastify-setup.js';
import { RequestRejectedError } from '../http/request-rejected.filter.js';
import { FrameAuthenticator, type FrameUser } from './frame-authenticator.js';
import { PortalPageService } from './portal-page.service.js';
import { RequestBudget } from './request-budget.js';

/** A page that is open asks every few seconds, and with each pause in typing. */
const BURST = 40;
const PER_SECOND = 10;
const MAX_PORTALS = 10_000;

/**
 * The API of the page inside Bitrix24. Each request proves its user by the frame's access token in a header, which no other site
 * can make a browser send.
 */
@Controller('b24/app/api')
export class PortalPageApiController {
  /** Of proved users: each request reads the database, which installs need too. */
  private readonly budget = new RequestBudget(BURST, PER_SECOND, MAX_PORTALS);

  constructor(
    private readonly authenticator: FrameAuthenticator,
    private readonly service: PortalPageService,
  ) {}

  @Get('status')
  async status(@Req() request: FastifyRequest): Promise<Sent<typeof pageStatusResponse>> {
    return this.service.status(await this.userOf(request));
  }

  @Get('settings')
  async settings(@Req() request: FastifyRequest): Promise<Sent<typeof pageSettingsResponse>> {
    return this.service.settingsOf(await this.userOf(request));
  }

  @Put('settings')
  @HttpCode(204)
  async change(@Req() request: FastifyRequest, @Body() body: unknown): Promise<void> {
    // First, so that a request that is wrong anyway costs the portal nothing.
    const changes = parse(pageSettingsRequest, body);
    await this.service.change(await this.userOf(request, { isWrite: true }), changes);
  }

  @Post('preview')
  @HttpCode(200)
  async preview(
    @Req() request: FastifyRequest,
    @Body() body: unknown,
  ): Promise<Sent<typeof pagePreviewResponse>> {
    const { names, settings } = parse(pagePreviewRequest, body);
    // An odd name takes milliseconds, in which no event is answered.
    const user = await this.userOf(request, { cost: Math.max(1, names.length) });
    return this.service.preview(user, names, settings);
  }

  private async userOf(
    request: FastifyRequest,
    { isWrite = false, cost = 1 }: { isWrite?: boolean; cost?: number } = {},
  ): Promise<FrameUser> {
    const { authorization = '', 'b24-member-id': memberId } = request.headers;
    const [, accessToken = ''] = /^Bearer (\S+)$/.exec(authorization) ?? [];
    const claim = { memberId: String(memberId ?? ''), accessToken, address: request.ip };
    const user = await this.authenticator.authenticate(claim, { isWrite });
    if (!this.budget.take(user.portal.memberId, cost)) {
      throw new RequestRejectedError(429, 'too-many-requests');
    }
    return user;
  }
}

/** @throws RequestRejectedError 415, 400 */
function parse<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  if (!(body instanceof JsonBody)) throw new RequestRejectedError(415, 'not-json');
  let json: unknown;
  try {
    json = JSON.parse(body.text);
  } catch {
    throw new RequestRejectedError(400, 'not-json');
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new RequestRejectedError(400, 'bad-request');
  return parsed.data;
}
