import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateAlerts1766400600010 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE platform.alerts (
        kind text NOT NULL,
        subject text NOT NULL,
        name text NOT NULL,
        count int NOT NULL,
        first_seen_at timestamptz NOT NULL,
        notified_at timestamptz,
        notified_count int NOT NULL DEFAULT 0,
        PRIMARY KEY (kind, subject)
      );
      COMMENT ON TABLE platform.alerts IS
        'what is wrong now with portals and consumers; notified_at: when a notification of it was queued last';

      CREATE TABLE platform.notifications (
        id uuid PRIMARY KEY,
        channel text NOT NULL,
        message jsonb NOT NULL,
        created_at timestamptz NOT NULL,
        next_at timestamptz NOT NULL,
        attempts int NOT NULL DEFAULT 0
      );
      COMMENT ON TABLE platform.notifications IS 'those that are not delivered yet, queued together with the change of their alerts';
      CREATE INDEX notifications_next_at ON platform.notifications (next_at);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE platform.notifications, platform.alerts');
  }
}
