import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateEventTests1766300000100 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE portals.event_tests (
        member_id text PRIMARY KEY REFERENCES portals.portals ON DELETE CASCADE,
        id uuid NOT NULL,
        name text,
        begun_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        arrived_at timestamptz
      );
      COMMENT ON TABLE portals.event_tests IS
        'portals from which an operator waits for an event; whichever gateway gets it notes its arrival';
      COMMENT ON COLUMN portals.event_tests.name IS 'the event that is awaited; null: any';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE portals.event_tests');
  }
}
