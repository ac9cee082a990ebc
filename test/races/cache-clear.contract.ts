import { type MySQLAdapter, MySQLIdempotencyAdapter } from 'goscope-mysql'
import type { RowDataPacket } from 'mysql2/promise'
import { beforeAll, expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'
import { numbers } from '../support/numbers.js'

const ROWS = 200_000
const WRITERS = 4

/** What a writer wrote: when, how long it took, and the last value under each of its keys. */
interface Written {
  readonly at: number[]
  longest: number
  readonly last: Map<string, string>
}

onEveryServer(`a cache of ${ROWS} values that is cleared while others write`, (context) => {
  let state: MySQLAdapter
  const written = Array.from({ length: WRITERS }, (): Written => ({ at: [], longest: 0, last: new Map() }))
  let begin = 0
  let duration = 0

  beforeAll(async () => {
    state = await context.adapter({ keyPrefix: 'shop:' })
    const fill = (start: string, count: number) =>
      context.admin.query(
        `insert into go_goscope_cache (\`key\`, value)
          select concat('${start}', lpad(n, 6, '0')), json_quote(concat('value ', n)) from (${numbers(count)}) as numbers`,
      )
    await fill('shop:cache:', ROWS)
    // Neighbours of the cleared range on both sides, and a longer prefix.
    for (const start of ['shoo:cache:', 'shop:idempotency:', 'shop:cache', 'shop2:cache:', 'shop:cachf:']) {
      await fill(start, 500)
    }
    await new MySQLIdempotencyAdapter(context.pool(), { keyPrefix: 'shop:' }).set('kept', 'outcome')
    await state.acquire('kept', 60_000)

    const writers = await Promise.all(
      written.map(() => context.adapter({ keyPrefix: 'shop:' }, { connectionLimit: 1 })),
    )
    let isClearing = true
    const write = async (writer: MySQLAdapter, number: number, record: Written) => {
      for (let count = 0; isClearing; count++) {
        // Keys all over the range, each of them again and again; every other one was there before.
        const position = ((count * 997 * WRITERS + number) % 2_000) * 100 + number
        const key = `${position}`.padStart(6, '0') + (count % 2 === 0 ? '' : ' new')
        const value = `${number} wrote ${count}`
        const start = performance.now()
        await writer.set(key, value)
        record.at.push(performance.now())
        record.longest = Math.max(record.longest, performance.now() - start)
        record.last.set(key, value)
      }
    }
    begin = performance.now()
    const writing = Promise.all(written.map((record, number) => write(writers[number] as MySQLAdapter, number, record)))
    await state.cache.clear()
    duration = performance.now() - begin
    isClearing = false
    await writing
  })

  it('lets no writer wait for long', () => {
    for (const { at, longest } of written) {
      for (let quarter = 0; quarter < 4; quarter++) {
        const from = begin + (duration * quarter) / 4
        expect(at.filter((time) => time >= from && time < from + duration / 4).length).toBeGreaterThan(5)
      }
      expect(longest).toBeLessThan(Math.max(1_000, duration / 4))
    }
  })

  it('holds nothing afterwards but what was written meanwhile, as it was written last', async () => {
    const last = new Map(written.flatMap((writer) => [...writer.last]))
    let kept = 0
    for await (const [key, value] of state.cache.entries<string>()) {
      expect([key, value]).toEqual([key, last.get(key)])
      kept++
    }
    expect(kept).toBeGreaterThan(0)
    expect(kept).toBeLessThanOrEqual(last.size)
  })

  it('touches neither other prefixes nor other kinds', async () => {
    const [rows] = await context.admin.query<RowDataPacket[]>(
      `select substring_index(\`key\`, '0', 1) as start, count(*) as number from go_goscope_cache
        where \`key\` not like 'shop:cache:%' group by start order by start`,
    )
    expect(rows).toEqual(
      [
        ['shoo:cache:', 500],
        ['shop2:cache:', 500],
        ['shop:cache', 500],
        ['shop:cachf:', 500],
        ['shop:idempotency:', 500],
        ['shop:idempotency:kept', 1],
      ].map(([start, number]) => ({ start, number })),
    )
    expect(await state.locks.inspect('kept')).not.toBeNull()
  })
})
