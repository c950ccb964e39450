import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { decodeForm, parseInstall } from '@relay/events';
import { Refusal } from '../http/refusal.js';
import { Installer } from './installer.js';

@Controller('b24/install')
export class InstallController {
  constructor(private readonly installer: Installer) {}

  @Post()
  @HttpCode(200)
  async install(@Body() body: unknown): Promise<void> {
    if (!(body instanceof Uint8Array)) throw new Refusal(415, 'not-a-form');
    await this.installer.install(parseInstall(decodeForm(body)));
  }
}
