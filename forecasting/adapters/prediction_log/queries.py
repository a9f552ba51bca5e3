"""Statements that pick rows of the prediction log, each forecast once however often it was asked for."""

from typing import TYPE_CHECKING, Any

from forecasting.adapters.prediction_log.rows import REFRESH, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Select


def of_users() -> "ColumnElement[bool]":
    """Rows of users' requests: the answer to a copy, and what a refresh logged, went to nobody."""
    from sqlalchemy import and_

    return and_(not_copied(), table().c.protocol != REFRESH)


def not_copied() -> "ColumnElement[bool]":
    """Rows that were no answer to a copy of a request."""
    return table().c.shadow.is_not(True)


def longest_of_each(
    by: "Sequence[ColumnElement[Any]]", where: "Sequence[ColumnElement[bool]]"
) -> "Select[Any]":
    """Of the rows that are equal in `by`, the one of the longest horizon, the first of these."""
    from sqlalchemy import func, select

    predictions = table()
    columns = predictions.c
    place = func.row_number().over(
        partition_by=by, order_by=(columns.horizon.desc(), columns.made_at, columns.id)
    )
    ranked = select(columns.id, place.label("place")).where(*where).subquery()
    query = predictions.select().join(ranked, ranked.c.id == columns.id)
    return query.where(ranked.c.place == 1)


def each_once(where: "Sequence[ColumnElement[bool]]") -> "Select[Any]":
    """Every forecast once, in the order in which they were made.

    A forecast is a version's of a symbol as of a bar of a source. Of its repeats a row is picked if it was the
    first that reached its horizon: one asked for at first one bar ahead and later thirty is two
    rows, so that what was said one bar ahead is known to have been said first.

    The repeats are grouped before they are ranked: sorting them all would cost as much as there
    are repeats, in the database's temporary files.

    Args:
        where: which rows count.
    """
    from sqlalchemy import and_, func, or_, select

    predictions = table()
    columns = predictions.c
    key = (
        columns.model_version,
        columns.symbol,
        columns.as_of,
        columns.own_bars,
        columns.source,
    )
    first = (
        select(*key, columns.horizon, func.min(columns.made_at).label("made_at"))
        .where(*where)
        .group_by(*key, columns.horizon)
        .subquery()
    )
    reached = func.max(first.c.horizon).over(
        partition_by=[first.c[column.name] for column in key],
        order_by=(first.c.made_at, first.c.horizon.desc()),
        rows=(None, -1),
    )
    ranked = select(first, reached.label("reached")).subquery()
    same = [ranked.c[column.name] == column for column in (*key, columns.horizon, columns.made_at)]
    picked = (
        select(func.min(columns.id))
        .select_from(ranked.join(predictions, and_(*same)))
        .where(or_(ranked.c.reached.is_(None), ranked.c.horizon > ranked.c.reached), *where)
        # Several may have been made in the same millisecond.
        .group_by(*key, columns.horizon)
    )
    query = predictions.select().where(columns.id.in_(picked))
    return query.order_by(columns.made_at, columns.horizon.desc(), columns.id)
