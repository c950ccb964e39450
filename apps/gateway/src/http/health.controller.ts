import { Controller, Get } from '@nestjs/common';

/** The only health endpoint on the public port; readiness and metrics are on the ops port. */
@Controller('health')
export class HealthController {
  @Get('live')
  live(): { status: string } {
    return { status: 'live' };
  }
}
