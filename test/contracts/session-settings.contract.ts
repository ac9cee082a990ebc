import { drizzle } from 'drizzle-orm/mysql2'
import { type Database, InvalidArgumentError } from 'goscope-mysql'
import { createPool as createCallbackPool } from 'mysql2'
import type { Pool, PoolOptions } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { type Client, client, exerciseProviders } from './every-provider.js'

/** What a service may have set up in its pool, and what must make no difference. */
interface Setting {
  readonly name: string
  readonly options?: PoolOptions
  /** Sent on each new connection. */
  readonly session?: string
  readonly database?: (pool: Pool) => Database
}

const poolOptions: Setting[] = [
  { name: 'nothing set', options: {} },
  { name: "timezone '+05:30'", options: { timezone: '+05:30' } },
  { name: "timezone '-08:00'", options: { timezone: '-08:00' } },
  { name: 'dateStrings', options: { dateStrings: true } },
  { name: 'rowsAsArray', options: { rowsAsArray: true } },
  { name: 'typeCast off', options: { typeCast: false } },
  { name: 'a typeCast function', options: { typeCast: () => 'nonsense' } },
  { name: 'decimalNumbers', options: { decimalNumbers: true } },
  { name: 'big numbers as strings', options: { supportBigNumbers: true, bigNumberStrings: true } },
  { name: 'namedPlaceholders', options: { namedPlaceholders: true } },
  { name: 'nestTables', options: { nestTables: true } as PoolOptions },
  { name: 'nestTables with a separator', options: { nestTables: '_' } as PoolOptions },
  { name: 'jsonStrings', options: { jsonStrings: true } },
  { name: 'stringifyObjects', options: { stringifyObjects: true } },
  { name: 'FOUND_ROWS off', options: { flags: ['-FOUND_ROWS'] } },
  { name: 'IGNORE_SPACE off', options: { flags: ['-IGNORE_SPACE'] } },
  { name: 'multipleStatements', options: { multipleStatements: true } },
  { name: 'disableEval', options: { disableEval: true } as PoolOptions },
  { name: 'compress', options: { compress: true } },
  { name: 'one prepared statement at a time', options: { maxPreparedStatements: 1 } },
  { name: 'connections reset on release', options: { resetOnRelease: true } as PoolOptions },
  { name: 'another collation', options: { charset: 'UTF8MB4_SPANISH_CI' } },
  { name: 'a Drizzle database', database: (pool) => drizzle(pool) },
]

const sqlModes = [
  'NO_BACKSLASH_ESCAPES',
  'ANSI_QUOTES',
  '',
  'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO',
  'PIPES_AS_CONCAT',
  'HIGH_NOT_PRECEDENCE',
  'ANSI',
  'REAL_AS_FLOAT',
  'NO_UNSIGNED_SUBTRACTION',
  'PAD_CHAR_TO_FULL_LENGTH',
]
const ownSqlModes = {
  mysql: ['TIME_TRUNCATE_FRACTIONAL'],
  mariadb: ['SIMULTANEOUS_ASSIGNMENT', 'TIME_ROUND_FRACTIONAL'],
}

const sessions = [
  "set time_zone = '+13:00'",
  "set time_zone = 'America/New_York'",
  "set time_zone = 'Australia/Lord_Howe'",
  ...['read uncommitted', 'read committed', 'repeatable read', 'serializable'].map(
    (level) => `set session transaction isolation level ${level}`,
  ),
  'set autocommit = 0',
  'set innodb_lock_wait_timeout = 1',
  'set timestamp = 1000000000',
  "set timestamp = 1000000000.5, time_zone = '-11:00', autocommit = 0, sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'",
  'set sql_select_limit = 1',
  'set sql_safe_updates = 1',
  'set div_precision_increment = 0',
  'set last_insert_id = 2',
  'set collation_connection = utf8mb4_unicode_ci',
]

onEveryServer('whatever the pool is set to', (context) => {
  let pool: Pool

  beforeAll(async () => {
    await context.adapter()
    pool = context.pool()
  })

  const modes = [...sqlModes, ...ownSqlModes[context.server.family]]
  const settings: Setting[] = [
    ...poolOptions,
    ...modes.map((mode) => ({ name: `sql_mode '${mode}'`, session: `set sql_mode = '${mode}'` })),
    ...sessions.map((session) => ({ name: session, session })),
  ]

  describe.each(settings)('$name', ({ name, options, session, database }) => {
    const keyPrefix = `${name} '"\\:`
    let hostilePool: Pool
    let hostile: Client
    let plain: Client
    let refused: Error | null = null

    beforeAll(() => {
      // One connection, so that the session can be looked at afterwards.
      hostilePool = context.pool({ connectionLimit: 1, ...options })
      if (session !== undefined) {
        hostilePool.pool.on('connection', (connection) =>
          connection.query(session, (error) => {
            refused = error
          }),
        )
      }
      hostile = client(database?.(hostilePool) ?? hostilePool, keyPrefix)
      plain = client(pool, keyPrefix)
    })

    it('makes no difference to any provider, and is left as it was', async () => {
      // The first use opens the connection; where connections are reset on release, the second one finds it reset.
      await sessionOf(hostilePool)
      const before = await sessionOf(hostilePool)
      expect(refused).toBeNull()
      await exerciseProviders(context, hostile, plain)
      expect(await sessionOf(hostilePool)).toEqual(before)
    })
  })

  describe('a callback pool', () => {
    let callbackPool: ReturnType<typeof createCallbackPool>

    beforeAll(() => {
      callbackPool = createCallbackPool({ uri: context.url })
    })

    afterAll(() => callbackPool.promise().end())

    it.each<[string, () => Database]>([
      ['itself', () => callbackPool],
      ['under Drizzle', () => drizzle(callbackPool)],
    ])('%s serves every provider', async (name, database) => {
      const hostile = client(database(), `callback ${name}`)
      const plain = client(pool, `callback ${name}`)
      await exerciseProviders(context, hostile, plain)
    })
  })

  describe('connections that would lose characters', () => {
    const lossy: Setting[] = [
      { name: 'a latin1 pool', options: { charset: 'LATIN1_SWEDISH_CI' } },
      { name: 'a utf8mb3 pool', options: { charset: 'UTF8_GENERAL_CI' } },
      { name: 'set names latin1', session: 'set names latin1' },
      { name: 'set names utf8mb3', session: 'set names utf8mb3' },
      { name: 'results in latin1', session: 'set character_set_results = latin1' },
      { name: 'parameters in latin1', session: 'set character_set_connection = latin1' },
    ]

    it.each(lossy)('are refused, before anything is stored: $name', async ({ name, options, session }) => {
      const lossyPool = context.pool(options)
      if (session !== undefined) lossyPool.pool.on('connection', (connection) => connection.query(session))
      const { state, idempotency } = client(lossyPool, name)
      const checkpoint = { id: 'lossy', taskId: 'lossy', sequence: 1, timestamp: 1, progress: 1, data: 'é' }
      const calls = [
        () => state.connect(),
        () => state.acquire('lossy', 60_000),
        () => state.recordFailure('lossy', 3),
        () => state.set('lossy', 'é'),
        () => state.get('lossy'),
        () => state.checkpoints.save(checkpoint),
        () => idempotency.set('lossy', 'é'),
      ]
      for (const call of calls) {
        const error: unknown = await call().catch((thrown) => thrown)
        expect(error, String(call)).toBeInstanceOf(InvalidArgumentError)
        expect((error as Error).message).toContain('utf8mb4')
      }
      const { state: plain } = client(pool, name)
      expect(await plain.get('lossy')).toBeNull()
      expect(await plain.getState('lossy')).toBeNull()
      expect(await plain.acquire('lossy', 60_000)).not.toBeNull()
    })
  })
})

async function sessionOf(pool: Pool): Promise<unknown> {
  const [rows] = await pool.query('select @@autocommit, @@time_zone, @@sql_mode, @@innodb_lock_wait_timeout')
  return rows
}
