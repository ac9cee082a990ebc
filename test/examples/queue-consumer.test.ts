import type { RowDataPacket } from 'mysql2/promise'
import { expect, it } from 'vitest'
import { places } from '../../examples/queue-consumer/consumer-protocol.js'
import { onEveryServer } from '../support/every-server.js'
import { runExample } from '../support/run-example.js'

onEveryServer('the example of a queue consumer', (context) => {
  it('ships every order once although messages come twice and consumers are killed at every place', async () => {
    const { code, output } = await runExample(
      'queue-consumer/demo.ts',
      context.url,
      ...['--orders', '60', '--consumers', '3', '--kills', '3'],
    )
    for (const place of places) expect(output).toMatch(new RegExp(`killed, had ${place}`))
    expect(output).toContain('Every order was shipped exactly once.')
    expect(code).toBe(0)
    expect(Number(/(\d+) deliveries of 60 orders/.exec(output)?.[1])).toBeGreaterThanOrEqual(60 + 15)

    // Not by the demo's own word only.
    const [rows] = await context.admin.query<RowDataPacket[]>(
      `select count(*) as shipments, count(distinct order_id) as orders, sum(units) as units,
        (select sum(units) from example_stock) as remaining from example_shipments`,
    )
    expect(rows[0]).toMatchObject({ shipments: 60, orders: 60 })
    expect(Number(rows[0]?.units)).toBe(12 * (1 + 2 + 3 + 4 + 5))
    expect(Number(rows[0]?.remaining)).toBe(30_000 - Number(rows[0]?.units))
  }, 90_000)
})
