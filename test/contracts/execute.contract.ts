import { getEventListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import {
  IdempotencyMismatchError,
  InProgressError,
  LockLostError,
  MySQLIdempotencyAdapter,
  UnavailableError,
} from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { beforeAll, describe, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { countStatements } from '../support/statements.js'
import { type Fault, TcpProxy } from '../support/tcp-proxy.js'

onEveryServer('operations executed once', (context) => {
  const adapter = () => new MySQLIdempotencyAdapter(context.pool())
  const effects = async (name: string) => {
    const [rows] = await context.admin.query('select count(*) as effects from effect where name = ?', [name])
    return (rows as { effects: number }[])[0]?.effects
  }

  beforeAll(async () => {
    await context.adapter()
    await context.admin.query('create table effect (name varchar(40) not null)')
  })

  it('runs for one of many callers and gives all the same outcome, now and later', async () => {
    const adapters = [adapter(), adapter(), adapter()]
    let runs = 0
    const operate = async () => {
      runs++
      await sleep(150)
      return { receipt: runs, at: new Date(5) }
    }
    const outcomes = await Promise.all(
      adapters.flatMap((one) => Array.from({ length: 20 }, () => one.execute('shared', operate))),
    )
    expect(runs).toBe(1)
    for (const outcome of outcomes) expect(outcome).toEqual({ receipt: 1, at: new Date(5) })
    expect(await adapter().execute('shared', operate)).toEqual({ receipt: 1, at: new Date(5) })
    expect(await adapter().get('shared')).toEqual({ value: { receipt: 1, at: new Date(5) } })
  })

  it('runs again when the outcome has expired', async () => {
    const idempotency = adapter()
    expect(await idempotency.execute('brief', () => 1, { ttl: 100 })).toBe(1)
    await sleep(200)
    expect(await idempotency.execute('brief', () => 2, { ttl: 60_000 })).toBe(2)
  })

  it('refuses another request under the same key, and names neither payload', async () => {
    const idempotency = adapter()
    await idempotency.execute('printed', () => 1, { fingerprint: 'secret one' })
    const mismatch = await idempotency
      .execute('printed', () => 2, { fingerprint: 'secret two' })
      .catch((error) => error)
    expect(mismatch).toBeInstanceOf(IdempotencyMismatchError)
    expect(`${mismatch} ${JSON.stringify(mismatch)}`).not.toContain('secret')
    expect(await idempotency.execute('printed', () => 2, { fingerprint: 'secret one' })).toBe(1)
  })

  it('tells those who do not wait that it is in progress, and stops waiting with the caller’s reason', async () => {
    const [one, other] = [adapter(), adapter()]
    const running = one.execute('running', () => sleep(800, 'done'))
    await sleep(100)
    const error = await other.execute('running', () => 'twice', { wait: 0 }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(InProgressError)
    expect(error).toMatchObject({ retryable: true })
    const signal = AbortSignal.timeout(100)
    expect(await other.execute('running', () => 'twice', { signal }).catch((thrown: unknown) => thrown)).toBe(
      signal.reason,
    )
    expect(await running).toBe('done')
  })

  it('leaves nothing on a signal that outlives the call', async () => {
    const [one, other] = [adapter(), adapter()]
    const { signal } = new AbortController()
    const running = one.execute('signalled', () => sleep(400, 'done'), { signal })
    await sleep(100)
    expect(await other.execute('signalled', () => 'twice', { signal })).toBe('done')
    await running
    expect(await one.execute('signalled', () => 'twice', { signal })).toBe('done')
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('forgets errors, unless it is told to keep them', async () => {
    const idempotency = adapter()
    const fail = async () => {
      throw new TypeError('no funds')
    }
    await expect(idempotency.execute('failing', fail)).rejects.toThrow('no funds')
    expect(await idempotency.execute('failing', () => 'paid')).toBe('paid')
    await expect(idempotency.execute('kept', fail, { storeFailure: () => true })).rejects.toThrow('no funds')
    const replayed = await adapter()
      .execute('kept', () => 'paid')
      .catch((error: unknown) => error)
    expect(replayed).toBeInstanceOf(Error)
    expect(replayed).toMatchObject({ name: 'TypeError', message: 'no funds' })
  })

  it('lets another caller run when the claim of a crashed one has expired, and tells the late one', async () => {
    const [late, successor] = [adapter(), adapter()]
    const overtaken = late.execute('crashed', async (lease) => {
      // As good as a crash: the claim is gone while the operation runs.
      await context.admin.query("update go_goscope_locks set owner = null where `key` = 'idempotency:crashed'")
      expect(await successor.execute('crashed', () => 'second')).toBe('second')
      return `first ${lease.fence}`
    })
    await expect(overtaken).rejects.toBeInstanceOf(LockLostError)
    expect(await late.execute('crashed', () => 'third')).toBe('second')
  })

  describe('in a transaction', () => {
    const write = (name: string) => sql`insert into effect values (${name})`

    it('has one effect for many callers', async () => {
      const adapters = [adapter(), adapter()]
      const outcomes = await Promise.all(
        adapters.flatMap((one) =>
          Array.from({ length: 10 }, () =>
            one.execute(
              'transfer',
              async (tx) => {
                await tx.execute(write('transfer'))
                return 'moved'
              },
              { transaction: true },
            ),
          ),
        ),
      )
      expect(new Set(outcomes)).toEqual(new Set(['moved']))
      expect(await effects('transfer')).toBe(1)
    })

    it('has none when the operation throws', async () => {
      const idempotency = adapter()
      const failing = idempotency.execute(
        'failing transfer',
        async (tx) => {
          await tx.execute(write('failing transfer'))
          await tx.transaction((nested) => nested.execute(write('failing transfer')))
          throw new RangeError('too much')
        },
        { transaction: true },
      )
      await expect(failing).rejects.toThrow(new RangeError('too much'))
      expect(await effects('failing transfer')).toBe(0)
      expect(await idempotency.get('failing transfer')).toBeNull()
    })

    it.each<[outcome: string, Fault]>([
      ['was carried out', 'lose answer'],
      ['never arrived', 'cut'],
    ])('has one after a retry when the connection broke and the commit %s', async (_, fault) => {
      const proxy = await TcpProxy.start(context.url)
      const pool = createPool({ uri: proxy.url })
      try {
        const idempotency = new MySQLIdempotencyAdapter(pool)
        const key = `broken by ${fault}`
        let runs = 0
        const move = () =>
          idempotency.execute(
            key,
            async (tx) => {
              await tx.execute(write(key))
              // Not before: a new connection is asked for @@autocommit.
              if (++runs === 1) proxy.disturb('commit', fault)
              return `moved by run ${runs}`
            },
            { transaction: true, storeFailure: () => true },
          )
        await expect(move()).rejects.toBeInstanceOf(UnavailableError)
        expect(proxy.isDone).toBe(true)
        const committed = fault === 'lose answer' ? { value: 'moved by run 1' } : null
        expect(await adapter().get(key)).toEqual(committed)
        expect(await effects(key)).toBe(committed === null ? 0 : 1)
        expect(await move()).toBe(committed?.value ?? 'moved by run 2')
        expect(await effects(key)).toBe(1)
      } finally {
        await pool.end()
        await proxy.stop()
      }
    })

    it('keeps others out while the operation runs, however long', async () => {
      const idempotency = adapter()
      const slow = idempotency.execute(
        'slow transfer',
        async (tx) => {
          await sleep(500)
          await tx.execute(write('slow transfer'))
        },
        { transaction: true, lease: 100 },
      )
      await sleep(250)
      const other = adapter().execute('slow transfer', (tx) => tx.execute(write('slow transfer')), {
        transaction: true,
        wait: 20_000,
      })
      await Promise.all([slow, other])
      expect(await effects('slow transfer')).toBe(1)
    })
  })

  it('costs one round trip for a replay and at most five for the first run', async () => {
    const pool = context.pool({ connectionLimit: 1 })
    const idempotency = new MySQLIdempotencyAdapter(pool)
    await idempotency.execute('warm', () => 1)
    expect(await countStatements(pool, () => idempotency.execute('cold', () => 1))).toBeLessThanOrEqual(5)
    expect(await countStatements(pool, () => idempotency.execute('cold', () => 1))).toBe(1)
  })
})
