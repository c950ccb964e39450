/** One Nest module with one controller, everything else as Nest has it by default. */
import 'reflect-metadata';
import {
  Body,
  Controller,
  HttpCode,
  Inject,
  Module,
  Post,
  ServiceUnavailableException,
  UnauthorizedException,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { messageOf, treeOfNames, UnauthorizedError } from './event-check.mjs';

/** @typedef {import('./event-check.mjs').FormTree} FormTree */

/** No dependency of ours: npm would install it for production too, as an optional peer of Nest. */
export const EXPRESS_PACKAGE = '@nestjs/platform-express';

const TREE_OF = 'TREE_OF';
const TOKEN_HASHES = 'TOKEN_HASHES';
const PUBLISHER = 'PUBLISHER';

/** @typedef {(form: any) => FormTree} TreeOf */

class EventsController {
  /**
   * @param {TreeOf} treeOf
   * @param {ReadonlyMap<string, Buffer>} tokenHashes
   * @param {import('./publishers.mjs').Publisher} publisher
   */
  constructor(treeOf, tokenHashes, publisher) {
    this.treeOf = treeOf;
    this.tokenHashes = tokenHashes;
    this.publisher = publisher;
  }

  /** @param {unknown} body */
  async receive(body) {
    try {
      await this.publisher.publish(messageOf(this.tokenHashes, this.treeOf(body)));
    } catch (error) {
      throw httpErrorOf(error);
    }
  }
}

/** @param {unknown} error @returns {Error} */
function httpErrorOf(error) {
  return error instanceof UnauthorizedError ? new UnauthorizedException() : new ServiceUnavailableException();
}

// oxlint-disable-next-line typescript/no-extraneous-class -- a module of Nest is a class
class EventsModule {}

// Plain JavaScript has no decorators.
Module({})(EventsModule);
Controller('b24/events')(EventsController);
[TREE_OF, TOKEN_HASHES, PUBLISHER].forEach((token, index) =>
  Inject(token)(EventsController, undefined, index),
);
const { prototype } = EventsController;
const receive = Object.getOwnPropertyDescriptor(prototype, 'receive') ?? {};
Post()(prototype, 'receive', receive);
HttpCode(200)(prototype, 'receive', receive);
Body()(prototype, 'receive', 0);

/**
 * @param {'fastify' | 'express'} platform
 * @param {ReadonlyMap<string, Buffer>} tokenHashes
 * @param {import('./publishers.mjs').Publisher} publisher
 * @param {number} port
 */
export async function startNestServer(platform, tokenHashes, publisher, port) {
  const eventsModule = {
    module: EventsModule,
    controllers: [EventsController],
    providers: [
      { provide: TREE_OF, useValue: treeOf[platform] },
      { provide: TOKEN_HASHES, useValue: tokenHashes },
      { provide: PUBLISHER, useValue: publisher },
    ],
  };
  const app = await NestFactory.create(eventsModule, await adapterOf(platform), { logger: false });
  await app.listen(port, '127.0.0.1');
}

/** Express parses with `qs`, which nests; Fastify with `fast-querystring`, which does not. @type {Record<string, TreeOf>} */
const treeOf = { fastify: treeOfNames, express: (form) => form };

/** @param {'fastify' | 'express'} platform @returns {Promise<import('@nestjs/core').AbstractHttpAdapter>} */
async function adapterOf(platform) {
  if (platform === 'fastify') return new (await import('@nestjs/platform-fastify')).FastifyAdapter();
  const { ExpressAdapter } = await import(EXPRESS_PACKAGE);
  return new ExpressAdapter();
}
