from django.db import migrations, models
from django.db.models.functions import Coalesce

AT_ONCE = 1000


def count_the_last_run(apps, schema_editor):
    """Of earlier runs nobody knows; that of the last one is told by when bytes came."""
    job = apps.get_model("downloads", "Job")
    rows = job.objects.exclude(started_at=None).exclude(status="downloading").order_by("pk")
    rows = rows.annotate(ended=Coalesce("completed_at", "active_at")).exclude(ended=None)
    batch = []
    for row in rows.only("started_at").iterator(chunk_size=AT_ONCE):
        row.active_seconds = max(int((row.ended - row.started_at).total_seconds()), 0)
        batch.append(row)
    job.objects.bulk_update(batch, ["active_seconds"], batch_size=AT_ONCE // 4)


class Migration(migrations.Migration):
    dependencies = [
        ("downloads", "0003_link_mode"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="active_seconds",
            field=models.PositiveBigIntegerField(
                default=0, editable=False, help_text="How long it was being fetched before."
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="started_at",
            field=models.DateTimeField(
                editable=False,
                help_text="When it was begun, or taken up again, last.",
                null=True,
            ),
        ),
        migrations.RunPython(count_the_last_run, migrations.RunPython.noop),
    ]
