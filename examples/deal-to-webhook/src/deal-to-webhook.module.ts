import { Module } from '@nestjs/common';
import { DealToWebhookController } from './deal-to-webhook.controller.js';
import { readVariables, VARIABLES } from './settings.js';

@Module({
  controllers: [DealToWebhookController],
  providers: [{ provide: VARIABLES, useFactory: () => readVariables(process.env) }],
})
export class DealToWebhookModule {}
