import type { MigrationInterface, QueryRunner } from 'typeorm';

export class KeepOAuthServers1766100000200 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE portals.credentials ADD COLUMN oauth_host text');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE portals.credentials DROP COLUMN oauth_host');
  }
}
